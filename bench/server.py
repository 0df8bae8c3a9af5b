"""distplusplusd beside distccd: CPU for each job, jobs a second, large inputs.

    python -m bench.server [--jobs N] [--quick]

Both daemons run on loopback with as many slots; both are given the same preprocessed text by small clients
in this process, whose own CPU is not counted. CPU is that of the daemon and everything it started.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import queue
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import grpc
import psutil

from distplusplus.protocol import compression, methods
from distplusplus.protocol import distplusplus_pb2 as pb

_SLOTS = 16
_TRIVIAL = b'# 1 "t.c"\nint trivial(int value) { return value + 1; }\n'
_LARGE_BYTES = 20 * 1024 * 1024
_WAIT_S = 30


@dataclass(frozen=True)
class Daemon:
    """A running daemon and how to make it compile one text."""

    name: str
    process: subprocess.Popen[bytes]
    client: Callable[[], Callable[[bytes], int]]

    def cpu_s(self) -> float:
        """CPU time of the daemon and of all that it started, ended or not."""
        total = 0.0
        root = psutil.Process(self.process.pid)
        for process in (root, *root.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                total += sum(process.cpu_times()[:4])
        return total


def large_text() -> bytes:
    """20 MiB that a compiler reads quickly, like the declarations that headers leave."""
    lines = (
        b"extern int function_%d(const char *name, unsigned long size, int (*callback)(void *, int));\n" % i
        for i in range(_LARGE_BYTES // 96)
    )
    return b'# 1 "large.c"\n' + b"".join(lines) + b"int large(void) { return 1; }\n"


@contextlib.contextmanager
def distplusplusd() -> Iterator[Daemon]:
    program = os.path.join(os.path.dirname(sys.executable), "distplusplusd")
    with tempfile.NamedTemporaryFile() as log:
        process = subprocess.Popen(
            [program, "--listen-address", "127.0.0.1:0", "--jobs", str(_SLOTS), "--log-level", "info"],
            stderr=log,
        )
        port = _until(lambda: _port_in(log.name), "distplusplusd to listen")

        def client() -> Callable[[bytes], int]:
            options = (*methods.UNLIMITED_MESSAGES, ("grpc.use_local_subchannel_pool", 1))
            channel = grpc.insecure_channel(f"127.0.0.1:{port}", options=options)
            reserve, distribute = methods.RESERVE.on(channel), methods.DISTRIBUTE.on(channel)

            def compile_text(text: bytes) -> int:
                uuid = reserve(pb.Reservation(waitMs=30_000), timeout=60).uuid
                request = pb.CompileRequest(
                    uuid=uuid,
                    compiler="gcc",
                    cwd="/",
                    argument=["-O2", "-c"],
                    inputFile=compression.pack("t.c", text, pb.zstd),
                )
                answer = distribute(request, timeout=120)
                compression.unpack(answer.outputFile, 1 << 30)
                return int(answer.returnCode)

            return compile_text

        with _stopped(process):
            yield Daemon("distplusplusd", process, client)


@contextlib.contextmanager
def distccd() -> Iterator[Daemon]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        ["distccd", "--no-detach", "--daemon", "--listen", "127.0.0.1", "--port", str(port), "--allow",
         "127.0.0.1", "--jobs", str(_SLOTS), "--log-file", os.devnull],
        stderr=subprocess.DEVNULL,
    )  # fmt: skip

    def compile_text(text: bytes) -> int:
        arguments = [b"gcc", b"-O2", b"-c", b"t.c", b"-o", b"t.o"]
        request = b"DIST00000001ARGC%08x" % len(arguments)
        request += b"".join(b"ARGV%08x" % len(argument) + argument for argument in arguments)
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(request + b"DOTI%08x" % len(text))
            connection.sendall(text)
            reply = connection.makefile("rb")
            status = -1
            for token in (b"DONE", b"STAT", b"SERR", b"SOUT", b"DOTO"):
                head = reply.read(12)
                if head[:4] != token:
                    raise RuntimeError(f"distccd said {head!r}, not {token!r}")
                value = int(head[4:], 16)
                if token == b"STAT":
                    status = value
                elif token != b"DONE":
                    reply.read(value)
        return status

    def ready() -> bool:
        with contextlib.suppress(OSError):
            return compile_text(_TRIVIAL) == 0
        return False

    _until(ready, "distccd to compile")
    with _stopped(process):
        yield Daemon("distccd", process, lambda: compile_text)


def compiler_cpu_ms(text: bytes, jobs: int) -> float:
    """CPU of the compiler alone, in ms a job."""
    with tempfile.TemporaryDirectory() as directory:
        source = os.path.join(directory, "t.i")
        with open(source, "wb") as file:
            file.write(text)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        for _ in range(jobs):
            subprocess.run(["gcc", "-O2", "-c", source, "-o", source + ".o"], check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1000 / jobs


def run_jobs(daemon: Daemon, text: bytes, jobs: int, clients: int) -> tuple[float, float]:
    """(CPU in ms a job, jobs a second)."""
    work: queue.SimpleQueue[None] = queue.SimpleQueue()
    for _ in range(jobs):
        work.put(None)
    failures: list[object] = []

    def drain(compile_text: Callable[[bytes], int]) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                work.get_nowait()
                try:
                    status = compile_text(text)
                except Exception as error:
                    failures.append(error)
                    return
                if status:
                    failures.append(status)

    threads = [threading.Thread(target=drain, args=(daemon.client(),)) for _ in range(clients)]
    cpu_s, begun = daemon.cpu_s(), time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wall_s = time.monotonic() - begun
    if failures:
        raise RuntimeError(f"{daemon.name}: {len(failures)} jobs failed, the first with {failures[0]}")
    return (daemon.cpu_s() - cpu_s) * 1000 / jobs, jobs / wall_s


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=300, help="trivial jobs of each measurement. Default 300")
    parser.add_argument("--rounds", type=int, default=3, help="rounds, of which the best counts. Default 3")
    options = parser.parse_args()
    large = large_text()
    cases = [(f"trivial, {n} client{'s' * (n > 1)}", _TRIVIAL, options.jobs, n) for n in (1, 4, 16)]
    cases += [(f"20 MB, {n} client{'s' * (n > 1)}", large, 6, n) for n in (1, 4)]
    with distplusplusd() as ours, distccd() as theirs:
        for daemon in (ours, theirs):
            run_jobs(daemon, _TRIVIAL, 20, 2)
        print(f"gcc alone: {compiler_cpu_ms(_TRIVIAL, 100):.1f} ms of CPU for a trivial job")
        print(f"{'':20} {'CPU, ms a job':>28}          {'jobs a second':>26}")
        print(
            f"{'':20} {'distplusplusd':>14} {'distccd':>9} {'ratio':>6}   {'distplusplusd':>14}"
            f" {'distccd':>9} {'ratio':>6}"
        )
        for name, text, jobs, clients in cases:
            best: dict[str, tuple[float, float]] = {}
            # In turn, so that a busy moment of the machine meets both.
            for _ in range(options.rounds):
                for daemon in (ours, theirs):
                    cpu_ms, rate = run_jobs(daemon, text, jobs, clients)
                    known = best.get(daemon.name, (cpu_ms, rate))
                    best[daemon.name] = min(cpu_ms, known[0]), max(rate, known[1])
            (cpu, rate), (their_cpu, their_rate) = best[ours.name], best[theirs.name]
            print(f"{name:20} {cpu:14.1f} {their_cpu:9.1f} {cpu / their_cpu:6.2f}"
                  f"   {rate:14.1f} {their_rate:9.1f} {rate / their_rate:6.2f}", flush=True)  # fmt: skip


@contextlib.contextmanager
def _stopped(process: subprocess.Popen[bytes]) -> Iterator[None]:
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_WAIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _port_in(path: str) -> str | None:
    with open(path) as log:
        for line in log:
            if "listens on 127.0.0.1:" in line:
                return line.rstrip().rpartition(":")[2]
    return None


def _until(condition: Callable[[], object], what: str) -> object:
    deadline = time.monotonic() + _WAIT_S
    while not (result := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {_WAIT_S} s for {what}")
        time.sleep(0.02)
    return result


if __name__ == "__main__":
    main()
