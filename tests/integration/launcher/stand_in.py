"""A stand-in for the agent, which sends the launcher whatever a test tells it to."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
import subprocess
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from distplusplus.agent.launcher_link import MAX_PACKET_BYTES, LauncherRequest, parse_request
from tests.launcher_builds import SANITIZER_ENVIRON, SANITIZER_STATUS

_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Packet:
    """One packet, with a memfd for each of `contents`."""

    data: bytes
    contents: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class Preprocessed:
    """What the launcher sent after PACKET_PREPROCESS."""

    status: int
    text: bytes
    messages: bytes


def exit_with(status: int) -> Packet:
    return Packet(b"X" + struct.pack("=i", status))


@dataclass
class StandIn:
    """An agent that listens in `runtime`, and plays `script` to each launcher."""

    runtime: Path
    script: list[Packet] = field(default_factory=list)
    requests: list[LauncherRequest] = field(default_factory=list)
    preprocessed: list[Preprocessed] = field(default_factory=list)

    def serve(self, listener: socket.socket, ended: socket.socket) -> None:
        while True:
            ready, _, _ = select.select([listener, ended], [], [])
            if ended in ready:
                return
            sock, _ = listener.accept()
            with sock, contextlib.suppress(BrokenPipeError, ConnectionResetError):
                sock.settimeout(_TIMEOUT_S)
                self._converse(sock)

    def _converse(self, sock: socket.socket) -> None:
        data, contents = _receive(sock)
        assert data == b"C", data
        self.requests.append(parse_request(contents[0]))
        for packet in self.script:
            with contextlib.ExitStack() as stack:
                fds = [stack.enter_context(_memfd(content)) for content in packet.contents]
                socket.send_fds(sock, [packet.data], fds)
            if packet.data[:1] == b"P":
                data, contents = _receive(sock)
                if not data:
                    return
                self.preprocessed.append(Preprocessed(struct.unpack("=i", data[1:])[0], *contents))
        # Whatever the launcher makes of it, it is not the end of the connection that it saw.
        sock.shutdown(socket.SHUT_WR)
        sock.recv(1)


def _receive(sock: socket.socket) -> tuple[bytes, list[bytes]]:
    data, fds, _, _ = socket.recv_fds(sock, MAX_PACKET_BYTES, 4)
    contents = []
    for fd in fds:
        with open(fd, "rb") as file:
            file.seek(0)
            contents.append(file.read())
    return data, contents


@contextlib.contextmanager
def _memfd(content: bytes) -> Iterator[int]:
    fd = os.memfd_create("stand-in")
    try:
        os.write(fd, content)
        yield fd
    finally:
        os.close(fd)


@contextlib.contextmanager
def standing_in(launcher: Path, runtime: Path) -> Iterator[StandIn]:
    """A stand-in for the agent whose socket is in `runtime`."""
    # The launcher alone knows the name of its agent's socket. It binds it for an agent that ends at once.
    environ = os.environ | {"DISTPLUSPLUS_RUNTIME_DIR": str(runtime), "DISTPLUSPLUS_AGENT": "/bin/true"}
    subprocess.run([launcher, "true"], env=environ, check=True, timeout=_TIMEOUT_S, capture_output=True)
    (path,) = runtime.glob("agent*.sock")
    path.unlink()
    stand_in = StandIn(runtime)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(path))
        listener.listen()
        ours, theirs = socket.socketpair()
        thread = threading.Thread(target=stand_in.serve, args=(listener, theirs))
        thread.start()
        try:
            yield stand_in
        finally:
            ours.close()
            thread.join()
            theirs.close()


def run(
    launcher: Path, stand_in: StandIn, directory: Path, *command: str, environ: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs a sanitized launcher in `directory`. It fails when a sanitizer reports something."""
    done = subprocess.run(
        [launcher, *command],
        cwd=directory,
        env={
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "DISTPLUSPLUS_RUNTIME_DIR": str(stand_in.runtime),
            "DISTPLUSPLUS_AGENT": "/bin/false",
            **SANITIZER_ENVIRON,
            **(environ or {}),
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=_TIMEOUT_S,
        check=False,
    )
    assert done.returncode != SANITIZER_STATUS, done.stderr
    for report in ("AddressSanitizer", "LeakSanitizer", "runtime error:"):
        assert report not in done.stderr, done.stderr
    return done
