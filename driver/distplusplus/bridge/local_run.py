"""A job that no worker can do, run in the bridge: the client's own command, as the client would run it.

Stock distcc has no answer for "compile this one yourself". If it gets none, or one that says that the compiler failed,
it does compile locally, but takes the worker for dead for 60 seconds, and says so (distcc 3.4, dcc_build_somewhere).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import stat
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass

from distplusplus.agent.local_slots import LocalSlots
from distplusplus.bridge import distcc_wire as wire
from distplusplus.bridge.distcc_client import DistccClient

_MAX_OBJECT_BYTES = 1 << 30
_MAX_MESSAGE_BYTES = 64 << 20
_END_TIMEOUT_S = 2.0
# A wait status that is neither success nor failure: distcc leaves the output alone and exits with 0.
_DONE_WITHOUT_OUTPUT = 0x7F


class NoObjectError(Exception):
    """Raised when the object of a local run cannot be sent to the client."""


@dataclass(frozen=True)
class LocalCommand:
    """The compiler at `program`, called as `name`. `output` is relative to the client's directory."""

    program: str
    name: str
    arguments: tuple[str, ...]
    output: str


async def run(client: DistccClient, command: LocalCommand, version: int, slots: LocalSlots, limit: int) -> bytes:
    """The reply to the client; waits until fewer than `limit` compiles run. Raises NoObjectError, OSError."""
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        async with slots.taken(limit):
            process = await asyncio.create_subprocess_exec(
                command.name,
                *command.arguments,
                executable=command.program,
                cwd=client.directory,
                env=_environment(client, command.name),
                umask=client.umask,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                process_group=0,
            )
            try:
                code = await process.wait()
            except asyncio.CancelledError:
                await _end(process)
                raise
        status = -code if code < 0 else code << 8
        return await asyncio.to_thread(_reply, client, command, version, status, [stderr.fileno(), stdout.fileno()])


async def _end(process: asyncio.subprocess.Process) -> None:
    """Ends a compile that nobody waits for. Told first, compilers remove their temporary files."""
    _signal_group(process.pid, signal.SIGTERM)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(process.wait(), _END_TIMEOUT_S)
    _signal_group(process.pid, signal.SIGKILL)
    await process.wait()


def _signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, number)


def _environment(client: DistccClient, name: str) -> dict[str, str]:
    """The client's, in which a compiler that calls itself by its name does not find distcc again."""
    path = client.environ.get("PATH", os.defpath).split(os.pathsep)
    kept = [entry for entry in path if not _is_distcc(os.path.join(client.directory, entry, name))]
    # By the second, a distcc that is called all the same knows that it must not distribute (distcc 3.4, safeguard.c).
    return client.environ | {"PATH": os.pathsep.join(kept), "_DISTCC_SAFEGUARD": "1"}


def _is_distcc(program: str) -> bool:
    return os.path.basename(os.path.realpath(program)) == "distcc"


def _reply(client: DistccClient, command: LocalCommand, version: int, status: int, messages: Sequence[int]) -> bytes:
    stderr, stdout = (os.pread(fd, _MAX_MESSAGE_BYTES, 0) for fd in messages)
    content = b""
    if status == 0:
        found = _object(os.path.join(client.directory, command.output))
        status, content = (0, found) if found is not None else (_DONE_WITHOUT_OUTPUT, b"")
    return wire.reply(version, status, stderr, stdout, content)


def _object(path: str) -> bytes | None:
    """The object, None if the output is no regular file, as /dev/null. Raises NoObjectError."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return None
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > _MAX_OBJECT_BYTES:
                raise NoObjectError(f"{path} has {size} bytes; distcc gets at most {_MAX_OBJECT_BYTES}")
            return file.read(size)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise NoObjectError(f"{path}: {error.strerror}") from None
