"""A server that behaves as one of the first implementation was measured to behave: no kinder, and as fragile."""

from __future__ import annotations

import contextlib
import re
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path
from typing import Any, Protocol

import grpc

from distplusplus.protocol import compression, methods
from distplusplus.protocol import distplusplus_pb2 as pb

_RESERVATION_S = 1.0
# Its compression filter appends this frame, once or twice, to whatever has 128 compressed bytes or more.
_EMPTY_FRAME = bytes.fromhex("28b52ffd2000010000")
_PADDED_BYTES = 128
_COMPILERS = ("x86_64-linux-gnu-gcc", "x86_64-linux-gnu-g++", "clang", "clang++")
_REFUSED = re.compile(r"-S|-f(debug|file|macro)-prefix-map=.*|-specs=.*|-fplugin=.*|@.*")
# It strips what only the preprocessor reads.
_STRIPPED = re.compile(r"-[DUI].+|-MM?D|-MP|-MG|-fpreprocessed|-nostdinc.*")
_STRIPPED_WITH_VALUE = ("-D", "-U", "-I", "-include", "-imacros", "-isystem", "-iquote", "-MF", "-MT", "-MQ")
# It ends on every file beside the object, and on some of the arguments that make one.
_FATAL = re.compile(
    r"-gsplit-dwarf|-fstack-usage|-foptimization-record-.*|-fsave-optimization-record.*|-fcallgraph-info.*"
)


class StandIn(Protocol):
    """What stands behind the three calls of a server."""

    def query(self, request: pb.ServerQuery, context: grpc.ServicerContext) -> pb.QueryAnswer: ...
    def reserve(self, request: pb.Reservation, context: grpc.ServicerContext) -> pb.ReservationAnswer: ...
    def distribute(self, request: pb.CompileRequest, context: grpc.ServicerContext) -> pb.CompileAnswer: ...


class FirstServer:
    """Compiles with this machine's compiler. `load_percent` is what it tells; the other counters are for tests."""

    def __init__(self, directory: Path, slots: int) -> None:
        self._directory = directory
        self._slots = slots
        self._lock = threading.Lock()
        self._reserved: dict[str, float] = {}
        self._running = 0
        self.load_percent = 0
        self.refusals = 0
        self.refused_queries: list[str] = []
        self.jobs_of_others = 0
        self.away = False  # as if it did not run
        self.crashed_by = ""  # what ended it
        self.requests: list[pb.CompileRequest] = []
        self.compile_s = 0.0  # how much longer each compile takes

    def query(self, request: pb.ServerQuery, context: grpc.ServicerContext) -> pb.QueryAnswer:
        self._check_runs(context)
        if request.compiler not in _COMPILERS:
            self.refused_queries.append(request.compiler)
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"compiler not found: {request.compiler}")
        return pb.QueryAnswer(
            compilerSupported=True,
            compressionTypeSupported=True,
            currentLoad=min(self.load_percent, 100),
            maxJobs=self._slots,
        )

    def reserve(self, _: pb.Reservation, context: grpc.ServicerContext) -> pb.ReservationAnswer:
        self._check_runs(context)
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
        self._check_runs(context)
        with self._lock:
            if self._reserved.pop(request.uuid, 0.0) < time.monotonic():
                context.abort(grpc.StatusCode.FAILED_PRECONDITION, "no such reservation")
            self._running += 1
            self.requests.append(request)
            number = len(self.requests)
        try:
            return self._compile(request, self._directory / str(number), context)
        finally:
            with self._lock:
                self._running -= 1

    def _check_runs(self, context: grpc.ServicerContext) -> None:
        if self.away or self.crashed_by:
            context.abort(grpc.StatusCode.UNAVAILABLE, "Socket closed")

    def _crash(self, context: grpc.ServicerContext, by: str) -> None:
        self.crashed_by = by
        self._check_runs(context)

    def _compile(self, request: pb.CompileRequest, directory: Path, context: grpc.ServicerContext) -> pb.CompileAnswer:
        if "/" in request.compiler or request.compiler not in _COMPILERS:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "compiler not allowed")
        if not request.inputFile.name or request.inputFile.compressionType not in (pb.NONE, pb.zstd):
            self._crash(context, "the file's name or compression type")
        for argument in request.argument:
            if _FATAL.fullmatch(argument):
                self._crash(context, argument)
            if _REFUSED.fullmatch(argument):
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"argument not allowed: {argument}")
        if "-c" not in request.argument:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no -c")
        directory.mkdir()
        try:
            source = compression.unpack(request.inputFile, 1 << 30)
        except compression.CompressionError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        (directory / request.inputFile.name).write_bytes(source)
        command = [request.compiler, *_stripped(request.argument), request.inputFile.name, "-o", "out"]
        done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
        time.sleep(self.compile_s)
        written = {path.name for path in directory.iterdir()} - {"out", request.inputFile.name}
        if written:
            self._crash(context, ", ".join(written))
        # It never sets currentLoad here.
        answer = pb.CompileAnswer(returnCode=done.returncode, stdout=done.stdout, stderr=done.stderr)
        output = (directory / "out").read_bytes() if done.returncode == 0 else b""
        answer.outputFile.CopyFrom(packed(output) if output else pb.File(name="out"))
        return answer


def packed(data: bytes) -> pb.File:
    """As its compression filter leaves it."""
    file = compression.pack("out", data, pb.zstd)
    if len(file.content) >= _PADDED_BYTES:
        file.content += _EMPTY_FRAME * (1 + len(file.content) % 2)
    return file


def _stripped(arguments: Any) -> list[str]:
    kept = []
    words = iter(arguments)
    for word in words:
        if word in _STRIPPED_WITH_VALUE:
            next(words, None)
        elif not _STRIPPED.fullmatch(word):
            kept.append(word)
    return kept


@contextlib.contextmanager
def running_first_server(directory: Path) -> Iterator[tuple[FirstServer, str]]:
    """One with 2 slots, and its address."""
    behaviour = FirstServer(directory, slots=2)
    with running(behaviour) as address:
        yield behaviour, address


@contextlib.contextmanager
def running(behaviour: StandIn) -> Iterator[str]:
    """The address at which `behaviour` answers."""
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
    yield f"127.0.0.1:{port}"
    server.stop(None).wait()
