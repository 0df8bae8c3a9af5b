"""Runs the driver on a copy of the project, from this machine."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from tests.cluster import lua
from tests.cluster.cluster import wait_until

# No build here takes longer on two busy CPUs.
BUILD_LIMIT_S = 200


@dataclass(frozen=True)
class Result:
    """How a build ended. `log` is what the distcc clients logged, warnings and worse."""

    status: int
    output: str
    log: str
    seconds: float


class Build:
    """`distcc-auto COMMAND` in a copy of the project; a context manager that leaves no process behind."""

    def __init__(
        self,
        source: str,
        directory: str,
        hosts: str,
        command: Sequence[str] = (*lua.BUILD, f"CC=distcc {lua.COMPILER} -std=gnu99"),
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.directory = os.path.join(directory, "project")
        if not os.path.exists(self.directory):
            shutil.copytree(source, self.directory)
        self._log = os.path.join(directory, "distcc.log")
        self._output = os.path.join(directory, "output")
        state = os.path.join(directory, "distcc")
        os.makedirs(state, exist_ok=True)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("DISTCC", "CCACHE"))}
        self._environ = kept | {
            "DISTCC_AUTO_HOSTS": hosts,
            "DISTCC_DIR": state,
            "DISTCC_LOG": self._log,
            **(environ or {}),
        }
        self._command = [sys.executable, "-m", "distcc_auto", *command]
        self._process: subprocess.Popen[bytes] | None = None
        self._began_s = 0.0

    def __enter__(self) -> Self:
        self._began_s = time.monotonic()
        with open(self._output, "wb") as output:
            self._process = subprocess.Popen(
                self._command,
                cwd=self.directory,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process

    def wait_until_objects(self, count: int) -> None:
        """Returns in mid-build, as soon as so many objects are there."""

        def there() -> bool:
            assert self.process.poll() is None, f"the build ended before it had {count} objects:\n{self.output()}"
            return len(lua.objects(self.directory)) >= count

        wait_until(f"{count} objects", BUILD_LIMIT_S, there)

    def output(self) -> str:
        with open(self._output, encoding="utf-8", errors="replace") as file:
            return file.read()

    def result(self, limit_s: float = BUILD_LIMIT_S) -> Result:
        """Waits for the end of the build, `limit_s` from now at most."""
        try:
            status = self.process.wait(limit_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the build has not ended after {limit_s:g} s:\n{self.output()}") from None
        log = ""
        with contextlib.suppress(FileNotFoundError), open(self._log, encoding="utf-8", errors="replace") as file:
            log = file.read()
        return Result(status, self.output(), log, time.monotonic() - self._began_s)


@contextlib.contextmanager
def compiling_without_pause(hosts: Sequence[str], directory: str) -> Iterator[list[str]]:
    """Somebody else compiles on `hosts` all the time, with no local help; yields the list of what went wrong.

    `hosts` are DISTCC_HOSTS entries. Checks at the end that this somebody did compile.
    """
    source, state = os.path.join(directory, "bystander.c"), os.path.join(directory, "bystander")
    os.makedirs(state)
    with open(source, "w", encoding="ascii") as file:
        file.write("int answer(void) { return 42; }\n")
    compile_once = 'distcc "$0" -c bystander.c -o bystander.o'
    script = f"n=0; while [ ! -e stop ]; do {compile_once} || exit 1; n=$((n+1)); done; echo $n"
    process = subprocess.Popen(
        ["sh", "-c", script, lua.COMPILER],
        cwd=directory,
        env={
            "PATH": os.environ["PATH"],
            "DISTCC_DIR": state,
            "DISTCC_HOSTS": " ".join(hosts),
            "DISTCC_FALLBACK": "0",
            "DISTCC_SKIP_LOCAL_RETRY": "1",
            "DISTCC_IO_TIMEOUT": "60",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    problems: list[str] = []
    try:
        yield problems
    finally:
        with open(os.path.join(directory, "stop"), "w", encoding="ascii"):
            pass
        output, errors = process.communicate(timeout=90)
        if process.returncode:
            problems.append(errors)
        elif int(output) < 1:
            problems.append("it compiled nothing")
