"""Where one test runs the installed `distcc-auto`: directories of its own, a clean environment, a hard time limit."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from distcc_auto.demo.loopback import LoopbackWorker

DISTCC_AUTO = str(Path(sys.executable).parent / "distcc-auto")
PATH = "/usr/local/bin:/usr/bin:/bin"
# Compiler names in this directory are links to distcc (update-distcc-symlinks).
MASQUERADE_PATH = f"/usr/lib/distcc:{PATH}"

_MARK = "DISTCC_TEST_SANDBOX"
_RUN_TIMEOUT_S = 100.0
_WAIT_TIMEOUT_S = 20.0


class Sandbox:
    """A working directory, an environment, and the commands run in them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.work = root / "work"
        self.temporary = root / "tmp"
        for name in ("work", "tmp", "home", "config", "distcc", "ccache"):
            (root / name).mkdir()
        self.environ = {
            "PATH": PATH,
            "LANG": "C.UTF-8",
            "HOME": str(root / "home"),
            "XDG_CONFIG_HOME": str(root / "config"),
            "DISTCC_DIR": str(root / "distcc"),
            "CCACHE_DIR": str(root / "ccache"),
            "TMPDIR": str(self.temporary),
            # A job that no worker takes fails the build: nothing compiles here by accident.
            "DISTCC_FALLBACK": "0",
            _MARK: str(root),
        }

    def use(self, workers: Sequence[LoopbackWorker]) -> None:
        """Makes these the hosts of every command that follows."""
        self.environ["DISTCC_AUTO_HOSTS"] = " ".join(worker.spec for worker in workers)

    def configure(self, text: str) -> Path:
        """Writes the user's configuration file."""
        path = self.root / "config" / "distcc-auto" / "config.toml"
        path.parent.mkdir()
        path.write_text(text)
        return path

    def write(self, name: str, text: str, executable: bool = False) -> Path:
        path = self.work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        if executable:
            path.chmod(0o755)
        return path

    def write_project(self, files: int) -> None:
        """A Makefile and `files` C files for a program `sum` that prints their sum; compiled by `distcc gcc`."""
        names = [f"part{number}" for number in range(files - 1)]
        for number, name in enumerate(names):
            self.write(f"{name}.c", f"int {name}(void) {{ return {number}; }}\n")
        declarations = "".join(f"int {name}(void);\n" for name in names)
        total = " + ".join(f"{name}()" for name in names)
        self.write(
            "sum.c", f'#include <stdio.h>\n{declarations}int main(void) {{ return !printf("%d\\n", {total}); }}\n'
        )
        self.write(
            "Makefile", f"CC = distcc gcc\nsum: {' '.join(f'{name}.o' for name in names)}\nsum.o: sum.c\nsum: sum.o\n"
        )

    def distcc_auto(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Runs `distcc-auto` to its end; options as those of `run`."""
        return self.run([DISTCC_AUTO, *arguments], **options)

    def run(
        self,
        command: Sequence[str],
        env: Mapping[str, str | None] | None = None,
        cwd: Path | None = None,
        stdin: str = "",
        timeout_s: float = _RUN_TIMEOUT_S,
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command to its end; `env` adds to the environment, a value of None takes one away."""
        return subprocess.run(
            command,
            cwd=cwd or self.work,
            env=self.environment(env),
            input=stdin,
            timeout=timeout_s,
            check=False,
            text=True,
            capture_output=True,
        )

    def start(
        self, command: Sequence[str], env: Mapping[str, str | None] | None = None, **options: Any
    ) -> subprocess.Popen[str]:
        """Starts a command in a session of its own."""
        options = {"start_new_session": True, "stdin": subprocess.DEVNULL} | options
        return subprocess.Popen(
            command,
            cwd=self.work,
            env=self.environment(env),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            **options,
        )

    def environment(self, env: Mapping[str, str | None] | None = None) -> dict[str, str]:
        merged: dict[str, str | None] = {**self.environ, **(env or {})}
        return {name: value for name, value in merged.items() if value is not None}

    def json(self, *arguments: str, **options: Any) -> Any:
        """What `distcc-auto` prints as JSON on its standard output."""
        done = self.distcc_auto(*arguments, **options)
        assert done.stdout, done
        return json.loads(done.stdout)

    def processes(self) -> list[str]:
        """`PID: command` of every process, in whatever session, that a command of this sandbox left or has."""
        mark = f"{_MARK}={self.root}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            # A process may end while we look at it; one that ended already has no environment.
            with contextlib.suppress(OSError):
                if entry.name.isdigit() and mark in (entry / "environ").read_bytes().split(b"\0"):
                    words = (entry / "cmdline").read_bytes().split(b"\0")
                    found.append(f"{entry.name}: {b' '.join(words).decode(errors='replace')}")
        return found

    def kill_leftovers(self) -> list[str]:
        """Ends what is still running; returns it and the files of ours that were left behind."""
        left = self.processes()
        for process in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(process.partition(":")[0]), signal.SIGKILL)
        # A distcc client that gives up early deletes its own file while its preprocessor may still be writing it.
        return left + [str(path) for path in self.temporary.rglob("*") if not path.name.startswith("distcc_")]


def wait_until(condition: Callable[[], Any], what: str | Callable[[], str], timeout_s: float = _WAIT_TIMEOUT_S) -> Any:
    """Waits for `condition` to return something true, and returns that."""
    deadline_s = time.monotonic() + timeout_s
    while True:
        if result := condition():
            return result
        if time.monotonic() > deadline_s:
            raise AssertionError(f"waited {timeout_s:g} s for {what if isinstance(what, str) else what()}")
        time.sleep(0.01)


class JobCount:
    """How many jobs each worker completed since this was made."""

    def __init__(self, workers: Sequence[LoopbackWorker]) -> None:
        self._workers = workers
        self._before = self._now()

    def all_of(self, total: int) -> list[int]:
        """The jobs of each worker, which must be `total` together: no fewer, so none ran here, and no more."""
        # distccd counts a job just after the client has got its object.
        wait_until(lambda: sum(self._done()) >= total, lambda: f"{total} jobs; done are {self._done()}")
        done = self._done()
        assert sum(done) == total, done
        return done

    def _done(self) -> list[int]:
        return [now - before for now, before in zip(self._now(), self._before, strict=True)]

    def _now(self) -> list[int]:
        return [worker.jobs_done() for worker in self._workers]
