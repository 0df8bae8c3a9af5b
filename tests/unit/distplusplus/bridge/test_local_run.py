"""A client's own command, run in its place, with real processes."""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path

import pytest

from distplusplus.agent.local_slots import LocalSlots
from distplusplus.bridge import local_run
from distplusplus.bridge.distcc_client import DistccClient
from distplusplus.bridge.local_run import LocalCommand, NoObjectError


def run(directory: Path, script: str, *, output: str = "a.o", path: str = os.defpath) -> bytes:
    """The reply for a compiler that is this shell script."""
    program = directory / "compiler"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    client = DistccClient(os.getpid(), ("distcc",), str(directory), {"PATH": path, "GREETING": "hello"}, 0o027)
    command = LocalCommand(str(program), "gcc", ("-c", "a.c"), output)
    return asyncio.run(local_run.run(client, command, 1, LocalSlots(), 1))


def answer(status: int, stderr: bytes = b"", stdout: bytes = b"", content: bytes = b"") -> bytes:
    parts = ((b"SERR", stderr), (b"SOUT", stdout), (b"DOTO", content))
    return b"DONE00000001STAT%08x" % status + b"".join(b"%s%08x%s" % (name, len(body), body) for name, body in parts)


def test_the_object_and_the_messages_are_sent(tmp_path: Path) -> None:
    script = 'echo "$@ $GREETING"; echo warning >&2; printf object >a.o'
    assert run(tmp_path, script) == answer(0, b"warning\n", b"-c a.c hello\n", b"object")
    assert stat.S_IMODE((tmp_path / "a.o").stat().st_mode) == 0o640


@pytest.mark.parametrize(("script", "status"), [("exit 3", 0x300), ("kill -SEGV $$", 11)])
def test_a_compiler_that_fails(tmp_path: Path, script: str, status: int) -> None:
    assert run(tmp_path, f"printf object >a.o; echo error >&2; {script}") == answer(status, b"error\n")


@pytest.mark.parametrize("output", ["/dev/null", "none.o", "directory"])
def test_no_output_is_made_where_the_compiler_makes_none(tmp_path: Path, output: str) -> None:
    (tmp_path / "directory").mkdir()
    # A wait status that is neither an exit nor a signal: distcc then leaves the output alone and succeeds.
    assert run(tmp_path, "exit 0", output=output) == answer(0x7F)


def test_an_object_that_is_too_large(tmp_path: Path) -> None:
    with pytest.raises(NoObjectError, match="distcc gets at most"):
        run(tmp_path, "truncate --size=1025M a.o")


def test_a_compiler_does_not_find_distcc_again(tmp_path: Path) -> None:
    for name, target in (("masquerade", "/usr/bin/distcc"), ("toolchain", "/bin/true")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "gcc").symlink_to(target)
    reply = run(tmp_path, 'echo "$PATH $_DISTCC_SAFEGUARD"', path="masquerade:toolchain:/bin", output="none.o")
    assert reply == answer(0x7F, stdout=b"toolchain:/bin 1\n")
