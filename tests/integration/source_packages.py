"""Real projects, fetched as source packages from the archive that this machine's own apt is configured for.

Nothing third-party is committed, and no archive is named here: the machine's source lists are copied with `deb-src`
in place of `deb` into a private apt state, so apt verifies the archive's signature and every checksum as always.
What was fetched stays in the user's cache directory; a second run fetches nothing.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_FETCH_TIMEOUT_S = 300
_ETC_APT = Path("/etc/apt")


def unpack(package: str, into: Path) -> Path:
    """Unpacks the upstream source of `package`, without the distribution's patches, as the directory `into`."""
    with _locked_cache() as cache:
        dsc = _find(cache, package)
        if dsc is None:
            _fetch(cache, package)
            dsc = _find(cache, package)
        assert dsc is not None, f"apt-get fetched no {package}"
        # It checks the checksums again: a cache that was cut short fails here.
        _run(["dpkg-source", "--skip-patches", "--extract", str(dsc), str(into)], cache)
    return into


def _find(cache: Path, package: str) -> Path | None:
    return next((cache / package).glob("*.dsc"), None)


@contextmanager
def _locked_cache() -> Iterator[Path]:
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    cache = Path(base, "distcc-auto-tests", "source-packages")
    cache.mkdir(parents=True, exist_ok=True)
    with open(cache / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield cache


def _fetch(cache: Path, package: str) -> None:
    target = cache / f"{package}.partial"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    with tempfile.TemporaryDirectory(prefix="distcc-auto-apt-") as directory:
        options = _private_apt(Path(directory))
        # Its status is no measure: an entry of another vendor may have no sources.
        subprocess.run(["apt-get", *options, "update"], timeout=_FETCH_TIMEOUT_S, check=False, capture_output=True)
        _run(["apt-get", *options, "source", "--download-only", f"{package}{_release()}"], target)
    target.rename(cache / package)


def _private_apt(apt: Path) -> list[str]:
    """apt options for a state of its own, with the sources of what this machine takes packages from."""
    for directory in ("lists/partial", "cache/archives/partial", "sources.list.d"):
        (apt / directory).mkdir(parents=True, exist_ok=True)
    for path in (_ETC_APT / "sources.list", *_ETC_APT.glob("sources.list.d/*")):
        if path.suffix in (".list", ".sources") and path.is_file():
            (apt / "sources.list.d" / path.name).write_text(as_sources(path.read_text(), path.suffix))
    paths = {
        "Dir::State::lists": apt / "lists",
        "Dir::Cache": apt / "cache",
        "Dir::Etc::sourcelist": "/dev/null",
        "Dir::Etc::sourceparts": apt / "sources.list.d",
    }
    return ["-qq", *(f"-o{name}={path}" for name, path in paths.items())]


def as_sources(text: str, suffix: str) -> str:
    """A source list, one-line (`.list`) or deb822 (`.sources`), with its binary entries made source entries."""
    if suffix == ".list":
        return re.sub(r"(?m)^[ \t]*deb(?=[\s\[])", "deb-src", text)
    return re.sub(r"(?mi)^types:.*$", "Types: deb-src", text)


def _release() -> str:
    """`/CODENAME` of this machine's release, so that another one in the source lists does not win."""
    for line in Path("/etc/os-release").read_text().splitlines():
        name, _, value = line.partition("=")
        if name == "VERSION_CODENAME" and value:
            return f"/{value.strip(chr(34))}"
    return ""


def _run(command: list[str], directory: Path) -> None:
    done = subprocess.run(
        command, cwd=directory, timeout=_FETCH_TIMEOUT_S, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert done.returncode == 0, f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout.decode()}"
