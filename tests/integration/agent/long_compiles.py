"""Compiles that run until they are told to end."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.integration.agent.home import DISTCC_AUTO, LAUNCHER, Home, fake_compiler, running_server
from tests.integration.sandbox import Sandbox
from tests.integration.server.harness import Server, until

# More than the agent may say nothing to a launcher, and than any silence that is taken for a dead server.
LONG_S = 35.0


@dataclass(frozen=True)
class LongCompiles:
    """One of each front end. They end when there is a file `bin/go` in `fake`."""

    begun_s: float
    fake: Path
    server: Server
    launcher: tuple[Home, subprocess.Popen[str]]
    build: tuple[Sandbox, subprocess.Popen[str]]

    def are_long(self) -> bool:
        return time.monotonic() - self.begun_s > LONG_S


@contextlib.contextmanager
def begun(directory: Path) -> Iterator[LongCompiles]:
    """Begins both."""
    with contextlib.ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="distplusplus-test-")))
        fake = fake_compiler(place, f"while [ ! -e {place}/bin/go ]; do sleep 0.5; done")
        server = stack.enter_context(running_server(place, "--compiler-dir", str(fake / "allowed"), "--jobs", "2"))
        for name in ("home", "sandbox"):
            (directory / name).mkdir()
        home, sandbox = Home(directory / "home"), Sandbox(directory / "sandbox")
        stack.callback(home.close)
        stack.callback(sandbox.kill_leftovers)
        home.use(server, fallback="fail")
        sandbox.environ |= {
            "PATH": f"{fake / 'bin'}:{sandbox.environ['PATH']}",
            "DISTCC_AUTO_HOSTS": f"grpc://{server.addresses[0]}",
        }
        for place_of in (home, sandbox):
            place_of.write("a.c", "a")
        build = sandbox.start([DISTCC_AUTO, "--report", "sh", "-c", "distcc gcc -c a.c -o a.o"])
        launcher = home.start(LAUNCHER, str(fake / "bin" / "gcc"), "-c", "a.c", "-o", "a.o")
        until(lambda: len(server.job_dirs()) == 2, "the compiles to begin")
        try:
            yield LongCompiles(time.monotonic(), fake, server, (home, launcher), (sandbox, build))
        finally:
            (place / "bin" / "go").touch()  # if the test that looks at them did not run
            for process in (build, launcher):
                process.communicate()
