"""How long the build waits for the driver: from exec of `distcc-auto` to exec of the command.

Time and CPU for hosts that all answer and for black holes among them, as multiples of `python -c "import asyncio"`
measured in the same run, turn by turn.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import selectors
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass

REPLY = (
    b"HTTP/1.0 200 OK\n\n<distccstats>\ndcc_max_kids 8\ndcc_load1 0.5\ndcc_load2 0.5\ndcc_load3 0.5\n</distccstats>\n"
)
CONNECT_LIMIT_S = 1.0


@dataclass(frozen=True)
class Sample:
    wall_s: float
    cpu_s: float


@dataclass(frozen=True)
class Case:
    title: str
    hosts: list[str]
    runs: int
    reach: str


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.startup", description=__doc__)
    parser.add_argument("--peer", metavar="PATH", help="a shell script with a function distcc_build to measure beside")
    parser.add_argument("--runs", type=int, default=15, help="runs of each case (a third of it with 1000 hosts)")
    options = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(4096, hard)), hard))
    with answering_hosts(1000) as hosts, black_holes(4) as holes:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        few = max(options.runs // 3, 3)
        cases = [
            Case("1 host", hosts[:1], options.runs, "1.3 x"),
            Case("16 hosts", hosts[:16], options.runs, ""),
            Case("64 hosts", hosts[:64], options.runs, "2.5 x"),
            Case("1000 hosts", hosts, few, "16 x"),
            Case("16 hosts, 4 of them black holes", hosts[:12] + holes, few, f"{CONNECT_LIMIT_S + 0.2:.1f} s"),
        ]
        print(f"{'case':36}{'who':14}{'wall ms':>9}{'x':>7}{'cpu ms':>9}{'x':>7}  reach")
        for case in cases:
            measure_case(case, options.peer)


def measure_case(case: Case, peer: str | None) -> None:
    commands = {"distcc-auto": [os.path.join(os.path.dirname(sys.executable), "distcc-auto"), "echo", "x"]}
    if peer:
        commands["peer"] = ["bash", "-c", 'source "$0"; distcc_build "$@"', peer, "echo", "x"]
    baseline = [sys.executable, "-c", "import asyncio"]
    environ = os.environ | {
        "DISTCC_AUTO_HOSTS": " ".join(case.hosts),
        "DISTCC_AUTO_CONNECT_TIMEOUT": str(CONNECT_LIMIT_S),
    }
    samples: dict[str, list[Sample]] = {name: [] for name in ("import asyncio", *commands)}
    for _ in range(case.runs):
        samples["import asyncio"].append(run_once(baseline, environ))
        for name, command in commands.items():
            samples[name].append(run_once(command, environ))
    base_wall_ms, base_cpu_ms = medians_ms(samples["import asyncio"])
    for name, taken in samples.items():
        wall_ms, cpu_ms = medians_ms(taken)
        reach = case.reach if name == "distcc-auto" else ""
        print(
            f"{case.title:36}{name:14}{wall_ms:9.1f}{wall_ms / base_wall_ms:7.2f}"
            f"{cpu_ms:9.1f}{cpu_ms / base_cpu_ms:7.2f}  {reach}".rstrip(),
            flush=True,
        )


def medians_ms(samples: list[Sample]) -> tuple[float, float]:
    return (
        statistics.median(sample.wall_s for sample in samples) * 1000,
        statistics.median(sample.cpu_s for sample in samples) * 1000,
    )


def run_once(command: list[str], environ: dict[str, str]) -> Sample:
    """Wall time up to the first byte of output (echo's, once it runs) or the end; CPU of the whole run."""
    with tempfile.TemporaryFile() as errors:
        started_s = time.perf_counter()
        process = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=errors)
        assert process.stdout is not None
        process.stdout.read(1)
        wall_s = time.perf_counter() - started_s
        process.stdout.close()
        _, wait_status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(wait_status)
        if process.returncode:
            errors.seek(0)
            sys.exit(f"{command} ended with {process.returncode}:\n{errors.read().decode()}")
    return Sample(wall_s, usage.ru_utime + usage.ru_stime)


@contextlib.contextmanager
def answering_hosts(count: int) -> Iterator[list[str]]:
    """Entries of DISTCC_AUTO_HOSTS for `count` loopback addresses whose stats ports a child process answers."""
    listeners = []
    for index in range(count):
        listener = socket.socket()
        listener.bind((f"127.1.{index // 250}.{index % 250 + 1}", 0))
        listener.listen()
        listeners.append(listener)
    child = os.fork()
    if not child:
        _answer(listeners)
    try:
        yield ["{}:3632:{}".format(*listener.getsockname()) for listener in listeners]
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        for listener in listeners:
            listener.close()


def _answer(listeners: list[socket.socket]) -> None:
    selector = selectors.DefaultSelector()
    for listener in listeners:
        selector.register(listener, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            assert isinstance(key.fileobj, socket.socket)
            connection, _ = key.fileobj.accept()
            with connection:
                connection.recv(1024)
                connection.sendall(REPLY)


@contextlib.contextmanager
def black_holes(count: int) -> Iterator[list[str]]:
    """Entries of DISTCC_AUTO_HOSTS that neither accept nor refuse: their backlog is full, so Linux drops each SYN."""
    with contextlib.ExitStack() as stack:
        entries = []
        for index in range(count):
            listener = stack.enter_context(socket.socket())
            listener.bind((f"127.2.0.{index + 1}", 0))
            listener.listen(0)
            for _ in range(2):
                filler = stack.enter_context(socket.socket())
                filler.setblocking(False)
                filler.connect_ex(listener.getsockname())
            entries.append("{}:3632:{}".format(*listener.getsockname()))
        yield entries


if __name__ == "__main__":
    main()
