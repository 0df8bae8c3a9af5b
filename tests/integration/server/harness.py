"""What the tests of distplusplusd share: the running server, a small client, a slow link."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest

from distplusplus.protocol import compression, methods, refusals
from distplusplus.protocol import distplusplus_pb2 as pb

PROGRAM = os.path.join(os.path.dirname(sys.executable), "distplusplusd")
WAIT_S = 30
HELLO = b'# 1 "hello.c"\nint main(void) { return 0; }\n'


def until(condition: Callable[[], Any], what: str, timeout_s: float = WAIT_S) -> Any:
    """The first true value of `condition`; fails with `what` after the deadline."""
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited {timeout_s} s for {what}"
        time.sleep(0.01)
    return value


class Client:
    """One channel to the server."""

    def __init__(
        self,
        address: str,
        credentials: grpc.ChannelCredentials | None = None,
        options: Sequence[tuple[str, Any]] = (),
    ) -> None:
        options = (*methods.UNLIMITED_MESSAGES, ("grpc.use_local_subchannel_pool", 1), *options)
        if credentials is None:
            self.channel = grpc.insecure_channel(address, options)
        else:
            self.channel = grpc.secure_channel(address, credentials, options)
        self.query = methods.QUERY.on(self.channel)
        self.reserve = methods.RESERVE.on(self.channel)
        self.distribute = methods.DISTRIBUTE.on(self.channel)
        self.describe = methods.DESCRIBE.on(self.channel)

    def request(
        self,
        text: bytes = HELLO,
        name: str = "hello.c",
        compiler: str = "gcc",
        arguments: Sequence[str] = ("-c",),
        **fields: Any,
    ) -> pb.CompileRequest:
        """A request with a fresh reservation."""
        if "uuid" not in fields:
            fields["uuid"] = self.reserve(pb.Reservation(waitMs=20_000), timeout=WAIT_S).uuid
        fields.setdefault("inputFile", compression.pack(name, text, pb.zstd))
        return pb.CompileRequest(compiler=compiler, argument=arguments, **fields)

    def compile(self, *arguments: Any, **fields: Any) -> pb.CompileAnswer:
        """Reserve and Distribute."""
        answer: pb.CompileAnswer = self.distribute(self.request(*arguments, **fields), timeout=60)
        return answer

    def object(self, *arguments: Any, **fields: Any) -> bytes:
        """The output of a compile that must succeed."""
        answer = self.compile(*arguments, **fields)
        assert answer.returnCode == 0, answer.stderr
        return compression.unpack(answer.outputFile, 1 << 30)


class Server:
    """A running distplusplusd."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path, jobs_dir: Path) -> None:
        self.process = process
        self.log_path = log
        self.jobs_dir = jobs_dir
        self._clients: list[Client] = []

    @property
    def log(self) -> str:
        return self.log_path.read_text()

    @property
    def addresses(self) -> list[str]:
        return re.findall(r'listens on ([^\s"]+)', self.log)

    def client(self, credentials: grpc.ChannelCredentials | None = None, address: str = "") -> Client:
        self._clients.append(Client(address or self.addresses[0], credentials))
        return self._clients[-1]

    def warden(self) -> psutil.Process | None:
        """The process that starts the compilers. (The server itself starts some too, to ask who they are.)"""
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in psutil.Process(self.process.pid).children():
                if "server.warden" in " ".join(_command(child)):
                    return child
        return None

    def compilers(self) -> list[psutil.Process]:
        """The processes of jobs."""
        warden = self.warden()
        with contextlib.suppress(psutil.NoSuchProcess):
            return warden.children(recursive=True) if warden else []
        return []

    def job_dirs(self) -> list[Path]:
        return [path for parent in self.jobs_dir.iterdir() for path in parent.iterdir()]

    def idle(self) -> bool:
        """Nothing of a job is left."""
        return not self.compilers() and not self.job_dirs()

    def close_clients(self) -> None:
        for client in self._clients:
            client.channel.close()
        self._clients.clear()

    def close(self) -> None:
        self.close_clients()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(WAIT_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return []


@contextlib.contextmanager
def refused(code: grpc.StatusCode, reason: pb.Refusal.Reason, match: str = "") -> Iterator[list[pb.Refusal]]:
    """The call inside must end with this status and reason."""
    found: list[pb.Refusal] = []
    with pytest.raises(grpc.RpcError) as caught:
        yield found
    error: Any = caught.value
    assert error.code() == code, error
    assert re.search(match, error.details()), error.details()
    refusal = refusals.from_trailers(error.trailing_metadata())
    assert refusal is not None, error
    assert pb.Refusal.Reason.Name(refusal.reason) == pb.Refusal.Reason.Name(reason)
    found.append(refusal)


class SlowLink:
    """Forwards one connection, the client's bytes no faster than `bytes_per_s`, from the address `source`."""

    def __init__(self, address: str, bytes_per_s: int, source: str = "") -> None:
        host, _, port = address.rpartition(":")
        self._target = (host, int(port))
        self._bytes_per_s = bytes_per_s
        self._source = (source, 0)
        self._ended = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = [self._listener]
        self._threads = [threading.Thread(target=self._forward)]

    def __enter__(self) -> str:
        self._threads[0].start()
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for end in self._sockets:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        for thread in self._threads:
            thread.join()

    def _forward(self) -> None:
        with contextlib.suppress(OSError):
            near, _ = self._listener.accept()
            far = socket.create_connection(self._target, source_address=self._source)
            self._sockets += [near, far]
            back = threading.Thread(target=self._copy, args=(far, near, 0))
            self._threads.append(back)
            back.start()
            self._copy(near, far, self._bytes_per_s)

    def _copy(self, source: socket.socket, sink: socket.socket, bytes_per_s: int) -> None:
        with contextlib.suppress(OSError):
            while (data := source.recv(16_384)) and not self._ended.wait(len(data) / bytes_per_s if bytes_per_s else 0):
                sink.sendall(data)


# A constant expression that keeps GCC and clang busy for far longer than any test.
ENDLESS = b"""# 1 "endless.cc"
constexpr unsigned long spin(unsigned long n) { unsigned long s = 0; for (unsigned long i = 0; i < n; i++)
  for (unsigned long j = 0; j < n; j++) s += i ^ j; return s; }
constexpr unsigned long result = spin(1000000);
"""
ENDLESS_OPTIONS = [
    "-std=c++17",
    "-fconstexpr-loop-limit=2000000000",
    "-fconstexpr-ops-limit=2000000000000000",
    "-c",
]


def endless(client: Client) -> pb.CompileRequest:
    return client.request(ENDLESS, "endless.cc", "g++", ENDLESS_OPTIONS)


def ended(*options: str, **environment: str) -> tuple[int, str]:
    """Exit status and messages of a server that must not start."""
    done = subprocess.run(
        [PROGRAM, *options],
        capture_output=True,
        text=True,
        timeout=30,
        env=os.environ | environment,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr
