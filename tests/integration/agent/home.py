"""A user's home with an agent of its own, servers for it, and the guard under which launchers run."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from tests.integration.server.harness import Server, until

BINARIES = Path(sys.executable).parent
LAUNCHER = str(BINARIES / "distplusplus")
DAEMON = str(BINARIES / "distplusplusd")
DISTCC_AUTO = str(BINARIES / "distcc-auto")
PATH = f"{BINARIES}:/usr/local/bin:/usr/bin:/bin"
# No command of these tests has nearly as many processes: whoever has more calls itself.
_MAX_PROCESSES = 80
_TIMEOUT_S = 60.0
_CLOSE_TIMEOUT_S = 15.0


class Home:
    """Directories, an environment and the commands run in them. The agent belongs to this home alone."""

    def __init__(self, root: Path) -> None:
        self.work = root / "work"
        self.runtime = root / "runtime"
        for path in (self.work, self.runtime):
            path.mkdir()
        self.runtime.chmod(0o700)
        self.environ = {
            "PATH": PATH,
            "LANG": "C.UTF-8",
            "HOME": str(root),
            "TMPDIR": str(root),
            "CCACHE_DIR": str(root / "ccache"),
            "XDG_CONFIG_HOME": str(root / "config"),
            "DISTPLUSPLUS_SYSTEM_CONFIG": str(root / "none.toml"),
            "DISTPLUSPLUS_RUNTIME_DIR": str(self.runtime),
        }

    def use(self, *servers: Server | str, **settings: str) -> None:
        """Makes these the servers, and sets `fallback=...` and the like by the environment."""
        addresses = [server if isinstance(server, str) else server.addresses[0] for server in servers]
        self.environ["DISTPLUSPLUS_SERVERS"] = " ".join(addresses)
        for name, value in settings.items():
            self.environ[f"DISTPLUSPLUS_{name.upper()}"] = value

    def configure(self, text: str) -> None:
        """Writes the user's settings, and takes the servers out of the environment."""
        path = Path(self.environ["XDG_CONFIG_HOME"], "distplusplus", "distplusplus.toml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        self.environ.pop("DISTPLUSPLUS_SERVERS", None)

    def write(self, name: str, text: str) -> Path:
        path = self.work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def run(self, *command: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Runs a command to its end, guarded."""
        process = self.start(*command, **environ)
        return finish(process, command)

    def start(self, *command: str, **environ: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            command,
            cwd=self.work,
            env=self.environ | environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def compile(self, *command: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Runs `distplusplus COMMAND`."""
        return self.run(LAUNCHER, *command, **environ)

    def remote(self, *command: str, **environ: str) -> str:
        """Compiles on a server, and nowhere else; what was said on standard error."""
        before = self.done()
        done = self.compile(*command, DISTPLUSPLUS_FALLBACK="fail", **environ)
        assert (done.returncode, done.stdout) == (0, ""), done
        assert self.done() == before + 1, f"{command} was not done by a server:\n{self.log}"
        return done.stderr

    def done(self) -> int:
        """How many compiles servers have answered."""
        return self.log.count(": status ")

    @property
    def log(self) -> str:
        path = self.runtime / "agent.log"
        return path.read_text() if path.exists() else ""

    def sockets(self) -> list[Path]:
        """Where agents of this home listen."""
        return sorted(self.runtime.glob("agent-*.sock"))

    def agents(self) -> list[psutil.Process]:
        """The agents of this home that run, by the log that they write to."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if os.readlink(f"/proc/{process.pid}/fd/2") == str(self.runtime / "agent.log"):
                    found.append(process)
        return found

    def close(self) -> None:
        """Ends the agent, and checks that it goes."""
        self.run(LAUNCHER, "--stop")
        try:
            until(lambda: not self.agents(), f"the agent to end: {self.log}", _CLOSE_TIMEOUT_S)
        finally:
            for process in self.agents():
                process.kill()


def finish(process: subprocess.Popen[str], command: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    """Waits for a command of `Home.start`; kills its whole session when it is too slow or has too many processes."""
    stopped: list[str] = []
    ended = threading.Event()

    def guard() -> None:
        deadline_s = time.monotonic() + _TIMEOUT_S
        while not ended.wait(0.02):
            count = _session_size(process.pid)
            if count > _MAX_PROCESSES or time.monotonic() > deadline_s:
                stopped.append(f"{count} processes after {_TIMEOUT_S - deadline_s + time.monotonic():.1f} s")
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                return

    watcher = threading.Thread(target=guard)
    watcher.start()
    stdout, stderr = process.communicate()
    ended.set()
    watcher.join()
    assert not stopped, f"{command} was stopped: {stopped[0]}\n{stderr}"
    return subprocess.CompletedProcess(list(command), process.returncode, stdout, stderr)


def _session_size(leader: int) -> int:
    count = 0
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError):
                count += os.getsid(int(name)) == leader
    return count


@contextlib.contextmanager
def running_server(
    directory: Path, *options: str, environ: Mapping[str, str] | None = None, inside: Sequence[str] = ()
) -> Iterator[Server]:
    """A distplusplusd; what it logs is in `directory`. `inside`: what it is started behind, as for a namespace."""
    jobs_dir = Path(tempfile.mkdtemp())  # where the user that it becomes can reach it
    jobs_dir.chmod(0o777)
    log = Path(tempfile.mkstemp(dir=directory, suffix=".log")[1])
    with log.open("wb") as file:
        process = subprocess.Popen(
            [
                *(*inside, DAEMON, "--listen-address", "127.0.0.1:0", "--log-level", "info"),
                *("--job-dir", str(jobs_dir), *options),
            ],
            stderr=file,
            env=os.environ | dict(environ or {}),
        )
    server = Server(process, log, jobs_dir)
    try:
        until(lambda: "slots, from" in server.log or process.poll() is not None, "the server to start")
        assert process.poll() is None, server.log
        yield server
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGCONT)
        server.close()
        _remove(jobs_dir)


def _remove(directory: Path) -> None:
    """A server that was killed leaves its jobs' directories, which its warden may be removing at the same time."""

    def removed() -> bool:
        shutil.rmtree(directory, ignore_errors=True)
        return not directory.exists()

    until(removed, f"{directory} to be removed")


def fake_compiler(directory: Path, job: str) -> Path:
    """A directory that allows a `gcc` which preprocesses by copying and otherwise runs the shell command `job`."""
    directory.chmod(0o755)
    programs, allowed = directory / "bin", directory / "allowed"
    programs.mkdir()
    allowed.mkdir()
    compiler = programs / "gcc"
    compiler.write_text(_FAKE.replace("JOB", job))
    compiler.chmod(0o755)
    # distcc calls `gcc` by its full name where there is one in PATH.
    full_name = f"{platform.machine()}-linux-gnu-gcc"
    (programs / full_name).symlink_to("gcc")
    for name in ("gcc", full_name):
        (allowed / name).symlink_to(compiler)
    return directory


_FAKE = """\
#!/bin/sh
output= input= preprocess=
while [ $# -gt 0 ]; do
    case $1 in
    --version) echo "gcc 1.0, not by the Free Software Foundation"; exit ;;
    -dumpmachine) echo fake-linux-gnu; exit ;;
    -dumpfullversion) echo 1.0; exit ;;
    -print-*) echo "${1#*=}"; exit ;;
    -E) preprocess=1 ;;
    -o) shift; output=$1 ;;
    *.c | *.i) input=$1 ;;
    esac
    shift
done
if [ -n "$preprocess" ]; then exec cat "$input"; fi
JOB
echo "object of $(cat "$input")" >"$output"
"""


def compiled_locally(process: subprocess.CompletedProcess[Any]) -> bool:
    """Whether a launcher said that it compiled locally."""
    return "compiling locally" in process.stderr
