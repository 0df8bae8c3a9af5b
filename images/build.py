#!/usr/bin/env python3
"""Builds the images. Needs only the standard library and a Docker engine with Buildx.

The base image comes from a registry if one answers, otherwise from the distribution's archive (images/make-base).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tomllib
from dataclasses import dataclass

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
PULL_S = 120
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"


@dataclass(frozen=True)
class Combination:
    """One row of combinations.toml: a release's base image, and compiler versions."""

    name: str
    base: str
    gcc: tuple[str, ...]
    clang: tuple[str, ...]

    def tag(self, target: str) -> str:
        return f"distcc-auto-{'worker' if target == 'distccd' else target}:{self.name}"


def combinations() -> dict[str, Combination]:
    with open(os.path.join(HERE, "combinations.toml"), "rb") as file:
        table = tomllib.load(file)
    return {
        name: Combination(name, row["base"], tuple(row.get("gcc", ())), tuple(row.get("clang", ())))
        for name, row in table.items()
    }


def build_command(row: Combination, target: str) -> list[str]:
    command = ["docker", "buildx", "build", "--load", "--quiet", "--file", os.path.join(HERE, "Dockerfile")]
    command += ["--target", target, "--tag", row.tag(target)]
    arguments = {"BASE": row.base, "GCC": " ".join(row.gcc), "CLANG": " ".join(row.clang)}
    if index := os.environ.get("PIP_INDEX_URL"):
        arguments["PIP_INDEX_URL"] = index
    for name, value in arguments.items():
        command += ["--build-arg", f"{name}={value}"]
    if os.path.exists(CERTIFICATES):
        command += ["--secret", f"id=ca-certificates,src={CERTIFICATES}"]
    return [*command, ROOT]


def provide_base(image: str) -> None:
    if _quietly("docker", "image", "inspect", image) or _quietly("docker", "pull", "--quiet", image):
        return
    subprocess.run([os.path.join(HERE, "make-base"), image], check=True)


def _quietly(*command: str) -> bool:
    try:
        return subprocess.run(command, capture_output=True, timeout=PULL_S, check=False).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def main() -> int:
    parser = argparse.ArgumentParser(description="Build distcc-auto's images.", prog="images/build.py")
    parser.add_argument("rows", nargs="*", metavar="NAME", help="rows of images/combinations.toml (default: bookworm)")
    parser.add_argument("--all", action="store_true", help="every row")
    parser.add_argument("--list", action="store_true", help="print the rows and build nothing")
    parser.add_argument("--client", action="store_true", help="build the client of each row too")
    parser.add_argument("--distplusplusd", action="store_true", help="build the compile server of each row too")
    options = parser.parse_args()
    known = combinations()
    if options.list:
        for row in known.values():
            print(f"{row.name:20} {row.base:22} gcc {' '.join(row.gcc):8} clang {' '.join(row.clang) or '-'}")
        return 0
    names = list(known) if options.all else options.rows or ["bookworm"]
    if unknown := [name for name in names if name not in known]:
        print(f"images/build.py: no such row: {' '.join(unknown)} (see --list)", file=sys.stderr)
        return 96
    targets = ["distccd"] + ["client"] * options.client + ["distplusplusd"] * options.distplusplusd
    try:
        for name in names:
            provide_base(known[name].base)
            for target in targets:
                subprocess.run(build_command(known[name], target), check=True, stdout=subprocess.DEVNULL)
                print(f"built {known[name].tag(target)}", flush=True)
    except FileNotFoundError:
        print("images/build.py: no docker command (tools/install-docker installs one)", file=sys.stderr)
        return 96
    except subprocess.CalledProcessError as error:
        print(f"images/build.py: {error.cmd[0]} failed with status {error.returncode}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
