"""How busy the workers' slots are kept: jobs of a known length over 16 slots of real servers, with a fake compiler.

In one table: the driver, the same make with a hand-written DISTCC_HOSTS and the distcc client's own settings, and the
same make with distplusplus and three distplusplusd. The ideal is jobs x length / slots; CPU is that of the whole client
side (make, distcc, preprocessing), without the agent of distplusplus, for which see bench/client.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bench.servers import running_server
from distcc_auto.demo.loopback import LoopbackWorker

WORKER_SLOTS = (8, 4, 4)
SLOTS = sum(WORKER_SLOTS)
_LAUNCHER = os.path.join(os.path.dirname(sys.executable), "distplusplus")

# Stands for gcc on both sides: preprocessing is a copy, compiling takes JOB_US microseconds and no CPU. In C, because
# what a shell takes to start 16 at once would be measured instead.
FAKE_COMPILER = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <unistd.h>

int main(int count, char **words)
{
    const char *output = NULL, *input = NULL;
    int preprocess = 0;
    for (int index = 1; index < count; index++) {
        const char *word = words[index];
        if (!strcmp(word, "--version"))
            return puts("gcc 1.0, not by the Free Software Foundation") < 0;
        if (!strcmp(word, "-dumpmachine"))
            return puts("fake-linux-gnu") < 0;
        if (!strcmp(word, "-dumpfullversion"))
            return puts("1.0") < 0;
        if (!strncmp(word, "-print-prog-name=", 17))
            return puts(word + 17) < 0;
        if (!strcmp(word, "-E"))
            preprocess = 1;
        else if (!strcmp(word, "-o"))
            output = words[++index];
        else if (word[0] != '-')
            input = word;
    }
    int to = output ? open(output, O_WRONLY | O_CREAT | O_TRUNC, 0666) : 1;
    if (preprocess)
        return sendfile(to, open(input, O_RDONLY), NULL, 4096) < 0;
    if (write(to, "object\n", 7) != 7)
        return 1;
    return usleep(JOB_US);
}
"""
MAKEFILE = """\
all: $(patsubst %.c,%.o,$(wildcard *.c))
%.o: %.c
\t@$(LAUNCHER) gcc -c $< -o $@
"""


@dataclass(frozen=True)
class Case:
    jobs: int
    job_s: float
    reach_percent: int
    client_reach_percent: int


@dataclass(frozen=True)
class Result:
    wall_s: float
    client_cpu_s: float


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.slots", description=__doc__)
    parser.add_argument("--pause-ms", type=int, action="append", help="measure these DISTCC_PAUSE_TIME_MSEC, too")
    options = parser.parse_args()
    print(f"{'jobs':16}{'who':26}{'wall s':>8}{'busy':>7}{'ratio':>7}{'client cpu s':>14}  reach")
    for case in (Case(160, 1.0, 95, 97), Case(320, 0.25, 85, 90)):
        with prepared(case) as (directory, environ, specs, servers):
            driver = [os.path.join(os.path.dirname(sys.executable), "distcc-auto"), "make", "-s"]
            runs: dict[str, tuple[list[str], dict[str, str]]] = {
                "hand-written DISTCC_HOSTS": (
                    ["make", "-s", f"-j{SLOTS + 2}"],
                    {"DISTCC_HOSTS": hand_written(specs)},
                ),
                "distcc-auto": (driver, {"DISTCC_AUTO_HOSTS": " ".join(specs)}),
                "distplusplus": (
                    ["make", "-s", f"-j{2 * SLOTS}", f"LAUNCHER={_LAUNCHER}"],
                    {"DISTPLUSPLUS_SERVERS": " ".join(servers)},
                ),
            }
            for pause_ms in options.pause_ms or []:
                changes = {"DISTCC_AUTO_HOSTS": " ".join(specs), "DISTCC_PAUSE_TIME_MSEC": str(pause_ms)}
                runs[f"distcc-auto, pause {pause_ms} ms"] = (driver, changes)
            # The first compile starts the agent, which every later build finds there.
            subprocess.run(
                [_LAUNCHER, "gcc", "-c", "file000.c"],
                cwd=directory,
                env=environ | runs["distplusplus"][1],
                check=True,
            )
            peer: Result | None = None
            for who, (command, changes) in runs.items():
                result = run_once(command, directory, environ | changes)
                peer = peer or result
                print_row(case, who, result, peer)


def print_row(case: Case, who: str, result: Result, peer: Result) -> None:
    ideal_s = case.jobs * case.job_s / SLOTS
    reach = {
        "distcc-auto": f"{case.reach_percent} %, cpu of the first",
        "distplusplus": f"{case.client_reach_percent} %",
    }.get(who, "")
    print(
        f"{f'{case.jobs} x {case.job_s:g} s':16}{who:26}{result.wall_s:8.2f}{100 * ideal_s / result.wall_s:6.1f}%"
        f"{peer.wall_s / result.wall_s:7.2f}{result.client_cpu_s:14.2f}  {reach}".rstrip(),
        flush=True,
    )


def hand_written(specs: list[str]) -> str:
    addresses = [spec.rpartition(":")[0] for spec in specs]
    return " ".join(f"{address}/{slots},lzo" for address, slots in zip(addresses, WORKER_SLOTS, strict=True))


@contextlib.contextmanager
def prepared(case: Case) -> Iterator[tuple[str, dict[str, str], list[str], list[str]]]:
    """A directory with a Makefile and sources, the environment, workers' host entries and servers' addresses."""
    with contextlib.ExitStack() as stack:
        root = stack.enter_context(tempfile.TemporaryDirectory(prefix="distcc-auto-bench-"))
        os.chmod(root, 0o755)  # noqa: S103  (the workers run as another user)
        binaries, project, distcc_dir, allowed = (
            os.path.join(root, name) for name in ("bin", "project", "distcc", "allowed")
        )
        for path in (binaries, project, distcc_dir, allowed):
            os.mkdir(path)
        runtime = os.path.join(root, "runtime")
        os.mkdir(runtime, 0o700)
        compiler = os.path.join(binaries, "gcc")
        write(f"{root}/gcc.c", FAKE_COMPILER)
        job_us = f"-DJOB_US={case.job_s * 1e6:.0f}"
        subprocess.run(["cc", "-O2", "-Wall", job_us, "-o", compiler, f"{root}/gcc.c"], check=True)
        # The distcc client turns gcc into its full name before it asks a worker for it.
        os.symlink("gcc", os.path.join(binaries, f"{os.uname().machine}-linux-gnu-gcc"))
        os.symlink(compiler, os.path.join(allowed, "gcc"))
        write(os.path.join(project, "Makefile"), MAKEFILE)
        for index in range(case.jobs):
            write(os.path.join(project, f"file{index:03}.c"), f"int f{index};\n")
        path = f"{binaries}:{os.environ['PATH']}"
        workers = [
            stack.enter_context(LoopbackWorker(slots, f"127.0.0.{number}", path=path))
            for number, slots in enumerate(WORKER_SLOTS, start=2)
        ]
        servers = [
            stack.enter_context(running_server("--jobs", str(slots), "--compiler-dir", allowed))
            for slots in WORKER_SLOTS
        ]
        environ = os.environ | {
            "PATH": path,
            "LAUNCHER": "distcc",
            "DISTCC_DIR": distcc_dir,
            "DISTCC_FALLBACK": "0",
            "DISTPLUSPLUS_RUNTIME_DIR": runtime,
            "DISTPLUSPLUS_FALLBACK": "fail",
        }
        stack.callback(subprocess.run, [_LAUNCHER, "--stop"], env=environ, check=True)
        yield project, environ, [worker.spec for worker in workers], servers


def write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def run_once(command: list[str], directory: str, environ: Mapping[str, str]) -> Result:
    for name in os.listdir(directory):
        if name.endswith(".o"):
            os.unlink(os.path.join(directory, name))
    started_s = time.perf_counter()
    process = subprocess.Popen(command, cwd=directory, env=environ, stderr=subprocess.DEVNULL)
    _, wait_status, usage = os.wait4(process.pid, 0)
    wall_s = time.perf_counter() - started_s
    process.returncode = os.waitstatus_to_exitcode(wait_status)
    if process.returncode:
        sys.exit(f"{command} ended with {process.returncode}")
    return Result(wall_s, usage.ru_utime + usage.ru_stime)


if __name__ == "__main__":
    main()
