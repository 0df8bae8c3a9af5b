"""`distcc-auto demo`: a real build over three real workers on this machine, from start to clean-up."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib import resources

from distcc_auto.build.process import adopt_orphans
from distcc_auto.demo.loopback import LoopbackWorker
from distcc_auto.parser import Parser
from distcc_common import messages

_WORKER_SLOTS = (2, 4, 8)
_WRONG_ANSWER = 1
_MODULES = 50
_NUMBERS_PER_MODULE = 1000
# The number of primes below 50000: https://oeis.org/A000720
_EXPECTED_OUTPUT = "primes below 50000: 5133\n"


def run(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Exit status 0 when the program was built and printed the right answer, else that of the build, or 1."""
    Parser(
        prog="distcc-auto demo",
        description="Starts three distccd workers on loopback, builds a C and C++ program of 51 files across them, "
        "shows who compiled how many, runs the program, and stops everything.",
    ).parse_args(arguments)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _exit_on_signal)
    # The workers' processes are ours to wait for when they lose their parents.
    adopt_orphans()
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="distcc-auto-demo-"))
        program, distcc_dir = os.path.join(directory, "program"), os.path.join(directory, "distcc")
        os.mkdir(program)
        os.mkdir(distcc_dir)
        files = write_program(program)
        print(f"Starting {len(_WORKER_SLOTS)} distccd workers on loopback ...", flush=True)
        workers = [
            stack.enter_context(LoopbackWorker(slots, f"127.0.0.{number}"))
            for number, slots in enumerate(_WORKER_SLOTS, start=2)
        ]
        build_environ = dict(environ) | {
            "DISTCC_AUTO_HOSTS": " ".join(worker.spec for worker in workers),
            "DISTCC_DIR": distcc_dir,
            "DISTCC_FALLBACK": "0",  # a job that no worker compiles fails, rather than being compiled here unnoticed
        }
        driver = [sys.executable, "-m", "distcc_auto"]
        _show("distcc-auto hosts", [*driver, "hosts"], directory, build_environ)
        print(f"\nBuilding a program of {files} C and C++ files:")
        status = _show("distcc-auto --report make", [*driver, "--report", "make", "-s"], program, build_environ)
        if status:
            return status
        return _run_program(program)


def write_program(directory: str) -> int:
    """Writes the demo program's sources and Makefile; returns the number of C and C++ files."""
    names = []
    for index in range(_MODULES):
        names.append(f"module_{index:02}")
        template = "module.cpp.in" if index % 5 == 4 else "module.c.in"
        first = index * _NUMBERS_PER_MODULE
        _write(
            directory,
            names[-1] + template.removeprefix("module").removesuffix(".in"),
            template,
            {"NAME": names[-1], "FIRST": first, "END": first + _NUMBERS_PER_MODULE},
        )
    functions = [f"count_primes_{name}" for name in names]
    _write(
        directory,
        "main.cpp",
        "main.cpp.in",
        {
            "DECLARATIONS": "\n".join(f"std::size_t {function}();" for function in functions),
            "NAMES": ", ".join(functions),
            "END": _MODULES * _NUMBERS_PER_MODULE,
        },
    )
    _write(directory, "Makefile", "Makefile", {})
    return _MODULES + 1


def _write(directory: str, name: str, template: str, values: Mapping[str, object]) -> None:
    text = resources.files("distcc_auto.demo").joinpath("program", template).read_text(encoding="utf-8")
    for key, value in values.items():
        text = text.replace(f"@{key}@", str(value))
    with open(os.path.join(directory, name), "w", encoding="utf-8") as file:
        file.write(text)


def _show(title: str, command: list[str], directory: str, environ: Mapping[str, str]) -> int:
    print(f"\n$ {title}", flush=True)
    return subprocess.run(command, cwd=directory, env=environ, check=False).returncode


def _run_program(directory: str) -> int:
    print("\n$ ./primes", flush=True)
    command = [os.path.join(directory, "primes")]
    output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False).stdout
    print(output, end="")
    if output != _EXPECTED_OUTPUT:
        messages.say(f"the program should have printed {_EXPECTED_OUTPUT.strip()!r}")
        return _WRONG_ANSWER
    return 0


def _exit_on_signal(number: int, _frame: object) -> None:
    sys.exit(128 + number)
