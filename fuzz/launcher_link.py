"""Atheris target: what could come to the agent in place of a launcher's packets.

    python -m fuzz.launcher_link -max_total_time=60      (pip install atheris)

The property: for any packets with any descriptors there is a request, an answer, BadRequestError or LauncherGoneError,
never another exception; and no descriptor stays open.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Callable

import atheris

with atheris.instrument_imports(include=["distplusplus"]):
    from distplusplus.agent.launcher_link import BadRequestError, LauncherGoneError, LauncherLink

_FIELDS = [b"", b"0", b"3", b"-1", b"8", b"99999999999999999999", b"gcc", b"../gcc", b"\xff", b"A", b"=", b"A=b=c"]
_Maker = Callable[[atheris.FuzzedDataProvider], int]
_LOOP = asyncio.new_event_loop()


def main() -> None:
    atheris.Setup(sys.argv, test_one_input)
    atheris.Fuzz()


def test_one_input(data: bytes) -> None:
    """What atheris calls."""
    _LOOP.run_until_complete(_converse(atheris.FuzzedDataProvider(data)))


async def _converse(provider: atheris.FuzzedDataProvider) -> None:
    before = _count_descriptors()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    link = LauncherLink(ours)
    with theirs:
        _send(theirs, provider, b"C", [_request])
        _send(theirs, provider, b"R" + bytes(4), [_bytes, _bytes])
    try:
        request = await link.request()
        if request is not None:
            assert os.path.isabs(request.compiler) or not os.path.isabs(request.directory), request
            await link.preprocess(["-E"])
    except (BadRequestError, LauncherGoneError):
        pass
    finally:
        link.close()
    assert _count_descriptors() == before


def _count_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def _send(sock: socket.socket, provider: atheris.FuzzedDataProvider, packet: bytes, makers: list[_Maker]) -> None:
    """Sends what a launcher would, or something like it."""
    if provider.ConsumeBool():
        packet = packet[: provider.ConsumeIntInRange(0, 5)] + provider.ConsumeBytes(provider.ConsumeIntInRange(0, 4))
    if provider.ConsumeBool():
        every = [_request, _bytes, _pipe, _write_only, _directory]
        makers = [every[provider.ConsumeIntInRange(0, 4)] for _ in range(provider.ConsumeIntInRange(0, 4))]
    fds = [make(provider) for make in makers]
    if packet:
        socket.send_fds(sock, [packet], fds)
    for fd in fds:
        os.close(fd)


def _request(provider: atheris.FuzzedDataProvider) -> int:
    """A request, in which any fields are replaced or left out."""
    fields = [b"0.1.0", b"0", b"/usr/bin/gcc", b"/work", b"2", b"-c", b"a.c", b"PATH=/bin", b"HOME=/"]
    for _ in range(provider.ConsumeIntInRange(0, 4)):
        start = provider.ConsumeIntInRange(0, len(fields))
        end = start + provider.ConsumeIntInRange(0, 2)
        choice = provider.ConsumeIntInRange(0, len(_FIELDS))
        fields[start:end] = [_FIELDS[choice] if choice < len(_FIELDS) else provider.ConsumeBytes(5)]
    return _memfd(b"\0".join(fields) + (b"" if provider.ConsumeIntInRange(0, 4) == 4 else b"\0"))


def _bytes(provider: atheris.FuzzedDataProvider) -> int:
    return _memfd(provider.ConsumeBytes(80))


def _memfd(content: bytes) -> int:
    fd = os.memfd_create("fuzz")
    os.write(fd, content)
    return fd


def _pipe(_: atheris.FuzzedDataProvider) -> int:
    reader, writer = os.pipe()
    os.close(writer)
    return reader


def _write_only(_: atheris.FuzzedDataProvider) -> int:
    return os.open("/dev/null", os.O_WRONLY)


def _directory(_: atheris.FuzzedDataProvider) -> int:
    return os.open("/", os.O_RDONLY)


if __name__ == "__main__":
    main()
