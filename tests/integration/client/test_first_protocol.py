"""A server of the first implementation: no extensions, no waiting, and every one of its demands."""

from __future__ import annotations

import subprocess
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import pytest

from distcc_auto.distplusplus.protocol import compression, methods
from distcc_auto.distplusplus.protocol import distplusplus_pb2 as pb
from tests.integration.client.home import LAUNCHER, Home, finish
from tests.integration.sandbox import Sandbox

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
        self.requests: list[pb.CompileRequest] = []

    def query(self, request: pb.ServerQuery, _: grpc.ServicerContext) -> pb.QueryAnswer:
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
            if len(self._reserved) + self._running >= self._slots:
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


@pytest.fixture
def first_server(tmp_path: Path) -> Iterator[tuple[FirstServer, str]]:
    (tmp_path / "jobs").mkdir()
    behaviour = FirstServer(tmp_path / "jobs", slots=2)
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


def test_a_server_of_the_first_implementation_is_used_as_it_demands(
    alone: Home, first_server: tuple[FirstServer, str]
) -> None:
    behaviour, address = first_server
    alone.use(address)
    alone.write("sub dir/a.c", "#undef linux\nint linux(void) { return 1; }\n")
    alone.remote("gcc", "-O1", "-I", ".", "-DX=1", "-MD", "-c", "sub dir/a.c", "-o", "a.o")
    (request,) = behaviour.requests
    assert (request.compiler, request.inputFile.name) == ("x86_64-linux-gnu-gcc", "a.i")
    assert list(request.argument) == ["-O1", "-c"]
    assert [field.number for field, _ in request.ListFields() if field.number >= 100] == []
    there = (alone.work / "a.o").read_bytes()
    assert alone.run("gcc", "-O1", "-c", "sub dir/a.c", "-o", "a.o").returncode == 0
    assert (alone.work / "a.o").read_bytes() == there
    # What needs an extension stays here.
    done = alone.compile("gcc", "-g", "-gsplit-dwarf", "-c", "sub dir/a.c", "-o", "b.o")
    assert (done.returncode, len(behaviour.requests)) == (0, 1)
    assert (alone.work / "b.dwo").exists()


def test_a_full_server_that_cannot_keep_us_waiting_is_not_asked_all_the_time(
    alone: Home, first_server: tuple[FirstServer, str]
) -> None:
    behaviour, address = first_server
    alone.use(address, fallback="fail")
    for number in range(8):
        alone.write(f"f{number}.c", "int x;\n")
    running = [alone.start(LAUNCHER, "gcc", "-c", f"f{number}.c") for number in range(8)]
    assert [finish(process).returncode for process in running] == [0] * 8
    assert len(behaviour.requests) == 8
    assert behaviour.refusals < 50


def test_a_build_for_distcc_uses_such_a_server(sandbox: Sandbox, first_server: tuple[FirstServer, str]) -> None:
    behaviour, address = first_server
    sandbox.write_project(files=6)
    sandbox.environ["DISTCC_AUTO_HOSTS"] = f"grpc://{address}"
    done = sandbox.distcc_auto("--report", "make")
    assert done.returncode == 0, done
    assert f"grpc://{address} (2 slots): 6 jobs, 100 %" in done.stderr
    assert len(behaviour.requests) == 6
    assert {tuple(request.argument) for request in behaviour.requests} == {("-c",)}
    there = {path.name: path.read_bytes() for path in sandbox.work.glob("*.o")}
    assert sandbox.run(["make", "-B", "CC=gcc"]).returncode == 0
    assert {path.name: path.read_bytes() for path in sandbox.work.glob("*.o")} == there


def test_errors_that_such_a_server_reports(alone: Home, first_server: tuple[FirstServer, str]) -> None:
    """A compiler that fails is a call that succeeds, with an empty object that nobody may write."""
    behaviour, address = first_server
    alone.use(address)
    alone.write("a.c", "int f(void) { return nothing; }\n")
    done = alone.compile("gcc", "-c", "a.c")
    assert (done.returncode, len(behaviour.requests)) == (1, 1)
    assert "undeclared" in done.stderr
    assert not (alone.work / "a.o").exists()
