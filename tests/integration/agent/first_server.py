"""A server that behaves as one of the first implementation was seen to behave."""

from __future__ import annotations

import contextlib
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc

from distplusplus.protocol import compression, methods
from distplusplus.protocol import distplusplus_pb2 as pb

_RESERVATION_S = 1.0


class FirstServer:
    """Behaves as the first server was seen to behave, and compiles with this machine's compiler."""

    def __init__(self, directory: Path, slots: int) -> None:
        self._directory = directory
        self._slots = slots
        self._lock = threading.Lock()
        self._reserved: dict[str, float] = {}
        self._running = 0
        self.refusals = 0
        self.jobs_of_others = 0
        self.away = False  # as if it did not run
        self.requests: list[pb.CompileRequest] = []

    def query(self, request: pb.ServerQuery, context: grpc.ServicerContext) -> pb.QueryAnswer:
        if self.away:
            context.abort(grpc.StatusCode.UNAVAILABLE, "away")
        return pb.QueryAnswer(
            compilerSupported=request.compiler in ("x86_64-linux-gnu-gcc", "x86_64-linux-gnu-g++"),
            compressionTypeSupported=True,
            currentLoad=self._running,
            maxJobs=self._slots,
        )

    def reserve(self, _: pb.Reservation, context: grpc.ServicerContext) -> pb.ReservationAnswer:
        with self._lock:
            now_s = time.monotonic()
            self._reserved = {name: due_s for name, due_s in self._reserved.items() if due_s > now_s}
            if len(self._reserved) + self._running + self.jobs_of_others >= self._slots:
                self.refusals += 1
                context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "no slot")
            name = str(uuid.uuid4())
            self._reserved[name] = now_s + _RESERVATION_S
        return pb.ReservationAnswer(success=True, uuid=name)

    def distribute(self, request: pb.CompileRequest, context: grpc.ServicerContext) -> pb.CompileAnswer:
        with self._lock:
            if self._reserved.pop(request.uuid, 0.0) < time.monotonic():
                context.abort(grpc.StatusCode.FAILED_PRECONDITION, "no such reservation")
            self._running += 1
            self.requests.append(request)
            number = len(self.requests)
        try:
            return self._compile(request, self._directory / str(number))
        finally:
            with self._lock:
                self._running -= 1

    def _compile(self, request: pb.CompileRequest, directory: Path) -> pb.CompileAnswer:
        directory.mkdir()
        (directory / request.inputFile.name).write_bytes(compression.unpack(request.inputFile, 1 << 30))
        command = [request.compiler, *request.argument, request.inputFile.name, "-o", "out"]
        done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
        answer = pb.CompileAnswer(returnCode=done.returncode, stdout=done.stdout, stderr=done.stderr)
        output = (directory / "out").read_bytes() if done.returncode == 0 else b""
        answer.outputFile.CopyFrom(compression.pack("out", output, pb.zstd if output else pb.NONE))
        return answer


@contextlib.contextmanager
def running_first_server(directory: Path) -> Iterator[tuple[FirstServer, str]]:
    """One with 2 slots, and its address."""
    behaviour = FirstServer(directory, slots=2)
    server = grpc.server(futures.ThreadPoolExecutor(8), options=methods.UNLIMITED_MESSAGES)
    handlers: dict[str, Any] = {}
    for method, handler in (
        (methods.QUERY, behaviour.query),
        (methods.RESERVE, behaviour.reserve),
        (methods.DISTRIBUTE, behaviour.distribute),
    ):
        handlers[method.name] = grpc.unary_unary_rpc_method_handler(
            handler, method.request.FromString, lambda answer: answer.SerializeToString()
        )
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(methods.COMPILATION_SERVICE, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield behaviour, f"127.0.0.1:{port}"
    server.stop(None).wait()
