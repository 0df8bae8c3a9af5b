"""Two users of one machine, neither of them root: each has an agent of its own, and nothing of the other's."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil
import pytest

from tests.integration.agent.home import DISTCC_AUTO, LAUNCHER, PATH, finish
from tests.integration.server.harness import Server, until

# Of no account, so that nothing of theirs is in /tmp.
_UIDS = (54331, 54332)
# The programs under test may be where only root can go: their users may read everything, and write what is theirs.
_CAPABILITY = ("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")
_HELLO = "int x;\n"


class User:
    """One user, with a home, and the default runtime directory."""

    def __init__(self, uid: int, root: Path, servers: str) -> None:
        self.uid = uid
        self.home = root / str(uid)
        self.home.mkdir(mode=0o700)
        os.chown(self.home, uid, uid)
        self.runtime = Path(f"/tmp/distplusplus-{uid}")
        self.environ = {"PATH": PATH, "HOME": str(self.home), "LANG": "C.UTF-8", "DISTPLUSPLUS_SERVERS": servers}

    def start(
        self, *command: str, environ: Mapping[str, str] | None = None, capable: bool = True
    ) -> subprocess.Popen[str]:
        ids = ("--reuid", str(self.uid), "--regid", str(self.uid), "--clear-groups")
        return subprocess.Popen(
            ["setpriv", *ids, *(_CAPABILITY if capable else ()), *command],
            cwd=self.home,
            env=self.environ | dict(environ or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(
        self, *command: str, environ: Mapping[str, str] | None = None, capable: bool = True
    ) -> subprocess.CompletedProcess[str]:
        return finish(self.start(*command, environ=environ, capable=capable), command)

    def compile(self, name: str = "a", **environ: str) -> subprocess.CompletedProcess[str]:
        (self.home / f"{name}.c").write_text(_HELLO)
        done = self.run(LAUNCHER, "gcc", "-c", f"{name}.c", environ=environ)
        assert done.returncode == 0, done
        assert (self.home / f"{name}.o").exists()
        return done

    @property
    def log(self) -> str:
        path = self.runtime / "agent.log"
        return path.read_text() if path.exists() else ""

    @property
    def socket(self) -> Path:
        """Where the agent listens."""
        (path,) = self.runtime.glob("agent-*.sock")
        return path

    def agents(self) -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.uids().real == self.uid and "distplusplus-agent" in " ".join(process.cmdline()):
                    found.append(process)
        return found

    def close(self) -> None:
        for process in self.agents():
            process.send_signal(signal.SIGTERM)
        until(lambda: not self.agents(), "the agent to end")
        if self.runtime.is_symlink() or self.runtime.is_file():
            self.runtime.unlink()
        shutil.rmtree(self.runtime, ignore_errors=True)


@pytest.fixture
def users(server: Server) -> Iterator[tuple[User, User]]:
    if os.getuid():
        pytest.skip("becoming other users needs root")
    with tempfile.TemporaryDirectory(prefix="distplusplus-test-") as name:
        Path(name).chmod(0o755)
        made = [User(uid, Path(name), server.addresses[0]) for uid in _UIDS]
        for user in made:
            assert not user.runtime.exists()
        yield made[0], made[1]
        for user in made:
            user.close()


def test_two_users_at_once_have_an_agent_each(users: tuple[User, User]) -> None:
    running = []
    for number in range(4):
        for user in users:
            (user.home / f"{number}.c").write_text(_HELLO)
            running.append(user.start(LAUNCHER, "gcc", "-c", f"{number}.c", environ={"DISTPLUSPLUS_FALLBACK": "fail"}))
    assert [finish(process).returncode for process in running] == [0] * 8
    for user in users:
        assert len(user.agents()) == 1
        assert user.log.count(": status 0") == 4
        status = user.runtime.lstat()
        assert (status.st_uid, stat.S_IMODE(status.st_mode)) == (user.uid, 0o700)
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in user.runtime.iterdir()}
        assert modes == dict.fromkeys((user.socket.name, "agent.log", "lock"), 0o600)


def test_neither_reaches_stops_or_reads_the_others(users: tuple[User, User]) -> None:
    alice, bob = users
    alice.compile()
    (agent,) = alice.agents()
    theirs = {"DISTPLUSPLUS_RUNTIME_DIR": str(alice.runtime)}
    for path in (alice.runtime / "agent.log", alice.socket, Path(f"/proc/{agent.pid}/environ")):
        assert "Permission denied" in bob.run("cat", str(path), capable=False).stderr
    assert bob.run("ls", str(alice.runtime), capable=False).returncode != 0
    assert bob.run("sh", "-c", f"kill -9 {agent.pid}").returncode != 0
    done = bob.run(LAUNCHER, "--stop", environ=theirs)
    assert (done.returncode, "not this user's alone" in done.stderr) == (96, True), done
    done = bob.compile(**theirs)
    assert f"{alice.runtime} is not a directory of this user's alone" in done.stderr
    assert not bob.agents()
    assert agent.is_running()
    alice.compile()
    assert [process.pid for process in alice.agents()] == [agent.pid]


_KNOCK = """\
import socket, sys
with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
    sock.connect(sys.argv[1])
    sock.settimeout(20)
    try:
        sock.send(b"S")
        sys.exit(len(sock.recv(1)))
    except (BrokenPipeError, ConnectionResetError):
        sys.exit(0)
"""


def test_an_agent_whose_directory_was_opened_takes_orders_from_its_own_user_only(users: tuple[User, User]) -> None:
    alice, bob = users
    alice.compile()
    (agent,) = alice.agents()
    alice.runtime.chmod(0o777)
    alice.socket.chmod(0o777)
    assert bob.run("python3", "-c", _KNOCK, str(alice.socket)).returncode == 0
    until(lambda: f"a launcher of user {bob.uid}" in alice.log, "the agent to refuse it")
    assert agent.is_running()
    # A directory in which others may have put things is not used any more, by its owner either.
    assert "not a directory of this user's alone" in alice.compile().stderr
    alice.runtime.chmod(0o700)
    assert alice.compile().stderr == ""
    assert [process.pid for process in alice.agents()] == [agent.pid]


_LISTEN = """\
import os, select, socket, sys
with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
    sock.bind(sys.argv[1])
    os.chmod(sys.argv[1], 0o777)
    sock.listen()
    print("listens", flush=True)
    ready, _, _ = select.select([sock, 0], [], [])
    sys.exit(1 if sock in ready else 0)
"""


@pytest.mark.parametrize("kind", ["directory", "open directory", "link to a directory", "file"])
def test_what_another_user_planted_is_refused_and_the_compile_is_done_here(users: tuple[User, User], kind: str) -> None:
    alice, bob = users
    planted = bob.home / "planted" if "link" in kind else alice.runtime
    if kind == "file":
        planted.touch()
    else:
        planted.mkdir()
        planted.chmod(0o777 if "open" in kind else 0o755)
    os.chown(planted, bob.uid, bob.uid)
    if "link" in kind:
        bob.home.chmod(0o755)
        os.symlink(planted, alice.runtime)
    listener = None
    if kind != "file":
        ids = ("--reuid", str(bob.uid), "--regid", str(bob.uid), "--clear-groups")
        command = ("setpriv", *ids, *_CAPABILITY, "python3", "-c", _LISTEN, str(planted / "agent-planted.sock"))
        listener = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=bob.environ)
        assert listener.stdout
        assert listener.stdout.readline() == b"listens\n"
    done = alice.compile()
    assert f"{alice.runtime} is not a directory of this user's alone (mode 0700); compiling locally" in done.stderr
    assert alice.agents() == []
    if listener is not None:
        assert alice.run(LAUNCHER, "--stop").returncode == 96
        listener.communicate(timeout=20)
        assert listener.returncode == 0, "somebody connected to the planted socket"
        assert sorted(path.name for path in planted.iterdir()) == ["agent-planted.sock"]


def test_a_planted_runtime_directory_of_the_session_is_passed_over(users: tuple[User, User]) -> None:
    """As with `sudo -E`, XDG_RUNTIME_DIR is somebody else's."""
    alice, bob = users
    session = bob.home / "run"
    (session / "distplusplus").mkdir(parents=True)
    for path in (session, session / "distplusplus"):
        os.chown(path, bob.uid, bob.uid)
        path.chmod(0o777)
    bob.home.chmod(0o755)
    assert alice.compile(XDG_RUNTIME_DIR=str(session)).stderr == ""
    assert alice.log.count(": status 0") == 1
    assert list((session / "distplusplus").iterdir()) == []


def test_two_users_build_at_once_over_the_bridge(users: tuple[User, User]) -> None:
    running = []
    for user in users:
        (user.home / "Makefile").write_text("all: 0.o 1.o 2.o 3.o\n%.o: %.c\n\tdistcc gcc -c $< -o $@\n")
        for number in range(4):
            (user.home / f"{number}.c").write_text(_HELLO)
        hosts = f"grpc://{user.environ['DISTPLUSPLUS_SERVERS']}"
        environ = {"DISTCC_AUTO_HOSTS": hosts, "DISTCC_FALLBACK": "0"}
        running.append(user.start(DISTCC_AUTO, "--report", "make", environ=environ))
    for process in running:
        done = finish(process)
        assert done.returncode == 0, done
        assert ": 4 jobs, 100 %" in done.stderr


def test_a_launcher_does_not_talk_to_an_agent_of_another_user(users: tuple[User, User]) -> None:
    """Its directory is right, but who listens in it is somebody else, as the kernel tells."""
    alice, _ = users
    alice.compile()
    (agent,) = alice.agents()
    path = alice.socket
    agent.send_signal(signal.SIGTERM)
    until(lambda: not alice.agents(), "the agent to end")
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
        sock.bind(str(path))  # ours: root's
        os.chown(path, alice.uid, alice.uid)
        sock.listen()
        alice.compile()
        assert alice.log.count(": status 0") == 2
        assert len(alice.agents()) == 1
        peer, _ = sock.accept()
        with peer:
            assert peer.recv(1) == b"", "it was told something"
