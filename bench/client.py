"""What one remote compile costs this machine: CPU of the client side per file, for a trivial C file and for LevelDB's.

In one table, beside the preprocessor alone, distcc with a distccd and the compiler itself; each is asked for the same
files, one after the other, turn by turn. Ours is the launcher with the preprocessor that it runs, and the agent. What
the servers use is not in it.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.servers import running_server
from distcc_auto.demo.loopback import LoopbackWorker
from tests.integration import source_packages

_BINARIES = os.path.dirname(sys.executable)
_LAUNCHER = os.path.join(_BINARIES, "distplusplus")
TRIVIAL = '#include <stdio.h>\nint main(void) { puts("hello"); return 0; }\n'
_LEVELDB_OPTIONS = ("-std=c++11", "-O2", "-DLEVELDB_PLATFORM_POSIX=1")


@dataclass
class Row:
    """One way to deal with a file; `extra_cpu_s` reads CPU that is used outside of the command."""

    name: str
    command: Callable[[str, str], list[str]]  # of a compiler and a source
    environ: Mapping[str, str]
    extra_cpu_s: Callable[[], float] = lambda: 0.0
    cpu_s: list[float] = field(default_factory=list)
    extra_s: list[float] = field(default_factory=list)
    wall_s: list[float] = field(default_factory=list)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.client", description=__doc__)
    parser.add_argument("--files", type=int, default=60, help="trivial files (a third of it of LevelDB)")
    options = parser.parse_args()
    print(f"{'case':16}{'who':22}{'cpu ms':>8}{'of it agent':>13}{'wall ms':>9}{'of distcc':>11}{'of gcc -E':>11}")
    with prepared() as (directory, rows):
        measure(directory, rows, ["gcc"], trivial_sources(directory, options.files))
        show("trivial C", rows)
        root, sources = leveldb(directory, max(options.files // 3, 5))
        measure(directory, rows, ["g++", *_LEVELDB_OPTIONS, f"-I{root}", f"-I{root}/include"], sources)
        show("LevelDB, C++", rows)


def trivial_sources(directory: str, count: int) -> list[str]:
    sources = [os.path.join(directory, f"file{index}.c") for index in range(count)]
    for source in sources:
        with open(source, "w", encoding="ascii") as file:
            file.write(TRIVIAL)
    return sources


def leveldb(directory: str, count: int) -> tuple[Path, list[str]]:
    """LevelDB's root, and at most `count` of its sources."""
    root = source_packages.unpack("leveldb", Path(directory, "leveldb"))
    sources = sorted(path for part in ("db", "table", "util") for path in (root / part).glob("*.cc"))
    return root, [str(path) for path in sources if not re.search("test|bench", path.name)][:count]


def measure(directory: str, rows: Sequence[Row], compiler: Sequence[str], sources: Sequence[str]) -> None:
    for row in rows:
        row.cpu_s, row.extra_s, row.wall_s = [], [], []
    for index, source in enumerate([sources[0], *sources]):
        # Turn and turn about: who is second finds the headers in the processor's caches.
        for row in rows if index % 2 else reversed(rows):
            extra_s = row.extra_cpu_s()
            command = [*row.command(compiler[0], source), *compiler[1:]]
            cpu_s, wall_s = run_once(command, directory, row.environ)
            if index:  # the first one starts the agent, and fills caches
                row.cpu_s.append(cpu_s)
                row.wall_s.append(wall_s)
                row.extra_s.append(row.extra_cpu_s() - extra_s)


def show(title: str, rows: Sequence[Row]) -> None:
    totals = {row.name: statistics.mean(row.cpu_s) + statistics.mean(row.extra_s) for row in rows}
    for row in rows:
        print(
            f"{title:16}{row.name:22}{totals[row.name] * 1000:8.2f}{statistics.mean(row.extra_s) * 1000:13.2f}"
            f"{statistics.mean(row.wall_s) * 1000:9.1f}{totals[row.name] / totals['distcc']:11.2f}"
            f"{totals[row.name] / totals['preprocessor alone']:11.2f}",
            flush=True,
        )


@contextlib.contextmanager
def prepared() -> Iterator[tuple[str, list[Row]]]:
    """A directory for sources, and the ways to compile, with running servers."""
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="distcc-auto-bench-"))
        runtime, headers_runtime, store = (os.path.join(directory, name) for name in ("runtime", "headers", "store"))
        for name, mode in ((runtime, 0o700), (headers_runtime, 0o700), (store, 0o777)):
            os.mkdir(name)
            os.chmod(name, mode)
        # The user that the server becomes must reach its store.
        os.chmod(directory, 0o755)  # noqa: S103
        worker = stack.enter_context(LoopbackWorker(2, "127.0.0.2"))
        server = stack.enter_context(running_server("--jobs", "2", "--header-store", store))
        distcc = os.environ | {
            "DISTCC_HOSTS": f"127.0.0.2:{worker.distcc_port}/2,lzo",
            "DISTCC_FALLBACK": "0",
            "DISTCC_DIR": directory,
        }
        ours = os.environ | {
            "DISTPLUSPLUS_RUNTIME_DIR": runtime,
            "DISTPLUSPLUS_SERVERS": server,
            "DISTPLUSPLUS_FALLBACK": "fail",
        }
        with_headers = ours | {"DISTPLUSPLUS_RUNTIME_DIR": headers_runtime, "DISTPLUSPLUS_HEADER_JOBS": "true"}
        for environ in (ours, with_headers):
            stack.callback(subprocess.run, [_LAUNCHER, "--stop"], env=environ, check=True)

        def launched(gcc: str, source: str) -> list[str]:
            return [_LAUNCHER, gcc, "-c", source, "-o", source + ".o"]

        yield (
            directory,
            [
                Row("preprocessor alone", lambda gcc, source: [gcc, "-E", source, "-o", source + ".i"], os.environ),
                Row("compiler here", lambda gcc, source: [gcc, "-c", source, "-o", source + ".o"], os.environ),
                Row("distcc", lambda gcc, source: ["distcc", gcc, "-c", source, "-o", source + ".o"], distcc),
                Row("distplusplus", launched, ours, lambda: agent_cpu_s(runtime)),
                Row("with header jobs", launched, with_headers, lambda: agent_cpu_s(headers_runtime)),
            ],
        )


def agent_cpu_s(runtime: str) -> float:
    """CPU of the agent whose log is in `runtime`, all its threads, in nanosecond resolution; 0 if there is none."""
    log = os.path.join(runtime, "agent.log")
    total_ns = 0
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/{pid}/fd/2") == log:
                for thread in os.listdir(f"/proc/{pid}/task"):
                    with open(f"/proc/{pid}/task/{thread}/schedstat", encoding="ascii") as file:
                        total_ns += int(file.read().split()[0])
    return total_ns / 1e9


def run_once(command: list[str], directory: str, environ: Mapping[str, str]) -> tuple[float, float]:
    """CPU and wall time of a command, in seconds; its children's CPU is in it."""
    started_s = time.perf_counter()
    process = subprocess.Popen(command, cwd=directory, env=environ)
    _, wait_status, usage = os.wait4(process.pid, 0)
    wall_s = time.perf_counter() - started_s
    process.returncode = os.waitstatus_to_exitcode(wait_status)
    if process.returncode:
        sys.exit(f"{command} ended with {process.returncode}")
    return usage.ru_utime + usage.ru_stime, wall_s


if __name__ == "__main__":
    main()
