"""A real project to build: Lua, from the distribution's source archive. Nothing of it is kept in this repository."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tarfile

PACKAGE = "lua5.4"
COMPILER = "gcc-12"
# 32 objects of about 0.2 s each; `-g` is left out, so that equal compilers make equal objects.
BUILD = ("make", "-s", "a")


def fetch(directory: str) -> str:
    """Downloads and unpacks the sources; returns the directory with Lua's Makefile.

    Uses this machine's archive, but keeps lists and cache of its own: source archives are seldom switched on.
    """
    listed = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(ORIGIN) $(REPO_URI) $(CODENAME)", "Created-By: Packages"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    _, archive, _ = next(line.split() for line in listed.splitlines() if line.startswith("Debian "))
    state = os.path.join(directory, "apt")
    os.makedirs(os.path.join(state, "lists", "partial"))
    os.makedirs(os.path.join(state, "cache", "partial"))
    sources = os.path.join(state, "sources.list")
    with open(sources, "w", encoding="ascii") as file:
        file.write(f"deb-src {archive} bookworm main\n")
    options = [
        f"Dir::Etc::SourceList={sources}",
        "Dir::Etc::SourceParts=/dev/null",
        f"Dir::State::Lists={state}/lists",
        f"Dir::Cache={state}/cache",
        "APT::Sandbox::User=",
    ]
    apt = ["apt-get", "-qq", *(word for option in options for word in ("-o", option))]
    subprocess.run([*apt, "update"], check=True)
    subprocess.run([*apt, "source", "--download-only", PACKAGE], check=True, cwd=directory)
    (archive_file,) = (name for name in os.listdir(directory) if ".orig.tar" in name)
    with tarfile.open(os.path.join(directory, archive_file)) as tar:
        tar.extractall(directory, filter="data")
    (unpacked,) = (name for name in os.listdir(directory) if name.startswith("lua-"))
    shutil.rmtree(state)
    return os.path.join(directory, unpacked, "src")


def objects(directory: str) -> dict[str, str]:
    """Name -> digest of each object in `directory`."""
    digests = {}
    for name in sorted(os.listdir(directory)):
        if name.endswith(".o"):
            with open(os.path.join(directory, name), "rb") as file:
                digests[name] = hashlib.sha256(file.read()).hexdigest()
    return digests
