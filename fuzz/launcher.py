"""What an agent could send to the launcher: random packets to a launcher that was built with sanitizers.

    python -m fuzz.launcher --seconds 60 [--seed N]      (it needs a C compiler with its sanitizers)

The properties: no sanitizer reports anything; the launcher ends, with the status that the agent sent or as the compiler
does; and it writes no file but those that it was told to. It stops at the first script that breaks one, and prints it.
"""

from __future__ import annotations

import argparse
import os
import random
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.integration.launcher.stand_in import Packet, StandIn, run, standing_in
from tests.launcher_builds import SANITIZERS, build

_KINDS = b"CRSPFOEMXLVK"
_WORDS = [b"", b"-E", b"a.c", b"\0", b"a\0b\0", b"\xe2\x80\x98", b"\xe2\x80", b"\xff", b"%s%n", b"h", b"\n", b"/", b"."]
_NAMES = [b"a.o", b"", b".", b"none/a.o", b"x" * 300, b"y/" * 2500, b"/dev/null", b"/dev/full", b"a.c", b"directory"]
_SIZES = [0, 1, 5, 4096, 65_536, 131_071, 131_072, 200_000]
_COMMAND = ("sh", "-c", "exit 7")
_LOCAL_STATUS = 7


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m fuzz.launcher", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=time.time_ns())
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="distplusplus-fuzz-") as name:
        directory = Path(name)
        for made in (directory / "runtime", directory / "work"):
            made.mkdir(mode=0o700)
        launcher = build(directory / "distplusplus", *SANITIZERS)
        with standing_in(launcher, directory / "runtime") as stand_in:
            count = _fuzz(launcher, stand_in, directory / "work", options.seed, options.seconds)
    print(f"seed {options.seed}: {count} scripts, no finding")


def _fuzz(launcher: Path, stand_in: StandIn, work: Path, seed: int, seconds: float) -> int:
    choices = random.Random(seed)  # noqa: S311
    end_s = time.monotonic() + seconds
    count = 0
    while time.monotonic() < end_s:
        _clean(work)
        stand_in.requests.clear()
        stand_in.preprocessed.clear()
        stand_in.script = [_packet(choices) for _ in range(choices.randrange(6))]
        locale = choices.choice(["C", "C.UTF-8"])
        try:
            _check(launcher, stand_in, work, locale)
        except (AssertionError, subprocess.TimeoutExpired) as error:
            print(f"seed {seed}, script {count}: LC_ALL={locale} {stand_in.script!r}\n{error}")
            sys.exit(1)
        count += 1
    return count


def _clean(work: Path) -> None:
    for path in work.iterdir():
        if path.is_file():
            path.unlink()
    (work / "directory").mkdir(exist_ok=True)
    (work / "a.c").write_text("int x;\n")


def _check(launcher: Path, stand_in: StandIn, work: Path, locale: str) -> None:
    done = run(launcher, stand_in, work, *_COMMAND, environ={"LC_ALL": locale})
    sent = {packet.data[1] for packet in stand_in.script if packet.data[:1] == b"X" and len(packet.data) == 5}
    assert done.returncode in {_LOCAL_STATUS, *sent}, done
    names = [packet.data[1:].partition(b"\0")[0] for packet in stand_in.script if packet.data[:1] == b"F"]
    told = {os.path.normpath(os.fsdecode(name)) for name in names}
    left = {path.name for path in work.iterdir()}
    assert left <= {"a.c", "directory"} | told, left


def _packet(choices: random.Random) -> Packet:
    """A packet like an agent's, with one thing or another wrong."""
    kind = bytes([choices.choice(_KINDS) if choices.random() < 0.95 else choices.randrange(256)])
    if kind == b"X" and choices.random() < 0.8:
        return Packet(kind + struct.pack("=i", choices.choice([0, 1, 255, 256, -1])))
    if kind == b"F" and choices.random() < 0.9:
        content = bytes([choices.randrange(256)]) * choices.choice(_SIZES)
        return Packet(kind + choices.choice(_NAMES), (content,))
    if choices.random() < 0.1:
        data = bytes([choices.randrange(256)]) * choices.choice(_SIZES)
    else:
        data = b"".join(choices.choice(_WORDS) for _ in range(choices.randrange(6)))
    contents = tuple(b"text" for _ in range(choices.choice([0, 0, 0, 1, 2, 3])))
    return Packet(kind + data, contents)


if __name__ == "__main__":
    main()
