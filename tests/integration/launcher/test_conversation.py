"""What the launcher does with what its agent sends, whatever that is. Sanitizers watch."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.agent.home import BINARIES, Home, compiled_locally
from tests.integration.launcher.stand_in import Packet, StandIn, exit_with, run
from tests.launcher_builds import SANITIZER_ENVIRON

COMPILE = ("gcc", "-c", "a.c", "-o", "a.o")
WRITE = Packet(b"Fa.o", (b"the object",))


def is_local(directory: Path) -> bool:
    """Whether the real compiler made a.o."""
    return (directory / "a.o").read_bytes().startswith(b"\x7fELF")


def test_it_does_what_it_is_told(sanitized: Path, agent: StandIn, work: Path) -> None:
    preprocess = Packet(b"P-E\0a.c\0")
    agent.script = [Packet(b"K"), preprocess, Packet(b"Mof the agent"), WRITE, Packet(b"Oout"), Packet(b"Eerr")]
    agent.script.append(exit_with(3))
    done = run(sanitized, agent, work, *COMPILE, environ={"PWD": "/as/the/shell/has/it"})
    (request,) = agent.requests
    assert request.environ["PWD"] == "/as/the/shell/has/it"  # noqa: S105
    assert (request.arguments, request.directory, request.compiler) == (COMPILE[1:], str(work), "/usr/bin/gcc")
    (preprocessed,) = agent.preprocessed
    assert preprocessed.status == 0
    assert b"int x = 5;" in preprocessed.text
    assert b"#warning shown" in preprocessed.messages
    assert (done.returncode, done.stdout) == (3, "out")
    assert done.stderr == "distplusplus: of the agent\n" + preprocessed.messages.decode() + "err"
    assert (work / "a.o").read_bytes() == b"the object"


def test_a_failed_preprocessor_and_a_second_run_of_it(sanitized: Path, agent: StandIn, work: Path) -> None:
    agent.script = [Packet(b"P-E\0none.c\0"), Packet(b"P-E\0a.c\0"), exit_with(0)]
    done = run(sanitized, agent, work, *COMPILE)
    failed, second = agent.preprocessed
    assert failed.status >> 8 == 1
    assert b"none.c" in failed.messages
    # Only what the last run said is shown.
    assert (done.returncode, done.stderr) == (0, second.messages.decode())


@pytest.mark.parametrize("kind", [b"L", b"Lh"])
def test_a_local_compile_keeps_the_connection_where_it_counts(
    sanitized: Path, agent: StandIn, work: Path, kind: bytes
) -> None:
    agent.script = [Packet(kind)]
    count_sockets = work / "compiler"
    count_sockets.write_text("#!/bin/sh\nfind /proc/$$/fd -lname 'socket:*' | wc -l\n")
    count_sockets.chmod(0o755)
    done = run(sanitized, agent, work, "distplusplus", str(count_sockets))
    assert (done.returncode, done.stdout) == (0, "1\n" if kind == b"Lh" else "0\n")


@pytest.mark.parametrize("many", [2, 3])
def test_a_packet_with_more_descriptors_than_one_is_refused(
    sanitized: Path, agent: StandIn, work: Path, many: int
) -> None:
    """The kernel puts a second one into the buffer for one, which is padded; it would stay open."""
    agent.script = [Packet(b"Fa.o", (b"content",) * many), exit_with(3)]
    done = run(sanitized, agent, work, *COMPILE)
    assert (done.returncode, is_local(work)) == (0, True)


@pytest.mark.parametrize(
    "packet",
    [
        *(Packet(data) for data in (b"?", b"\0", b"\xff" * 100, b"X", b"X\0", b"X12345", b"L?", b"Fa.o")),
        Packet(b"F", (b"content",)),
        Packet(b"F/dev/null", (b"content",)),
        Packet(b"Fno/such/directory/a.o", (b"content",)),
        Packet(b"F" + b"x" * 300, (b"content",)),
        Packet(b"F" + b"x" * 5000, (b"content",)),
        Packet(b"F" + b"d/" * 3000, (b"content",)),
        Packet(b"Fa.o", (b"content", b"another")),
        Packet(b"K", (b"",) * 3),
        Packet(b"Eno quotation mark: \xe2\x80"),
        Packet(b"E" + b"x" * (128 * 1024)),
        Packet(b"P" + b"\0" * 60_000),
        Packet(b"P"),
        Packet(b"P-E\0a.c"),
        Packet(b"M" + b"x" * 5000),
        Packet(b"M%s%n\n"),
    ],
    ids=lambda packet: f"{packet.data[:20]!r} {len(packet.data)} {len(packet.contents)}",
)
def test_nonsense_ends_in_a_local_compile(sanitized: Path, agent: StandIn, work: Path, packet: Packet) -> None:
    """Where the packet itself is taken, the connection ends behind it."""
    agent.script = [Packet(b"K"), packet]
    done = run(sanitized, agent, work, *COMPILE, environ={"LC_ALL": "C"})
    assert done.returncode == 0, done
    assert is_local(work)
    assert [path.name for path in work.iterdir() if path.suffix == ".tmp"] == []


def test_an_agent_that_ends_at_once_ends_in_a_local_compile(sanitized: Path, agent: StandIn, work: Path) -> None:
    done = run(sanitized, agent, work, *COMPILE)
    assert (done.returncode, compiled_locally(done)) == (0, True)
    assert "the agent ends before it answers" in done.stderr
    assert len(agent.requests) == 2
    assert is_local(work)


PACKETS = st.one_of(
    st.binary(min_size=1, max_size=40).map(Packet),
    st.builds(lambda data: Packet(b"E" + data), st.binary(max_size=40)),
    st.builds(lambda data: Packet(b"M" + data), st.binary(max_size=2000)),
    st.builds(lambda words: Packet(b"P" + b"\0".join(words)), st.lists(st.sampled_from([b"", b"-E", b"a.c", b"-"]))),
    st.builds(lambda data, many: Packet(b"Fa.o", (data,) * many), st.binary(max_size=9), st.integers(0, 3)),
    st.builds(lambda data: Packet(b"X" + data), st.binary(max_size=6)),
    st.sampled_from([Packet(b"K"), Packet(b"L"), Packet(b"Lh"), Packet(b"V")]),
)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(script=st.lists(PACKETS, max_size=5), locale=st.sampled_from(["C", "C.UTF-8"]))
def test_any_packets_leave_an_object_or_an_exit_status(
    sanitized: Path, agent: StandIn, work: Path, script: list[Packet], locale: str
) -> None:
    """fuzz/launcher.py looks for more of them, for longer."""
    agent.script = script
    for path in work.iterdir():
        if path.name != "a.c":
            path.unlink()
    done = run(sanitized, agent, work, *COMPILE, environ={"LC_ALL": locale})
    if not any(packet.data[:1] == b"X" and len(packet.data) == 5 for packet in script):
        assert done.returncode == 0, done
        assert is_local(work)
    assert {path.name for path in work.iterdir()} <= {"a.c", "a.o"}


@pytest.fixture
def sanitized_home(home: Home) -> Home:
    """A home whose agent and server are real; its launcher is the sanitized one."""
    home.environ |= SANITIZER_ENVIRON | {"DISTPLUSPLUS_AGENT": str(BINARIES / "distplusplus-agent")}
    home.write("a.c", "int x;\n")
    return home


def test_the_main_paths_with_a_real_agent(sanitized: Path, sanitized_home: Home) -> None:
    home, launcher = sanitized_home, str(sanitized)
    assert home.run("gcc", "-c", "a.c", "-o", "local.o").returncode == 0

    def clean(*command: str, **environ: str) -> subprocess.CompletedProcess[str]:
        done = home.run(*command, **environ)
        assert "Sanitizer" not in done.stderr, done.stderr
        assert "runtime error:" not in done.stderr, done.stderr
        return done

    for output in ("new.o", "new.o"):  # made, then replaced
        assert clean(launcher, "gcc", "-c", "a.c", "-o", output, DISTPLUSPLUS_FALLBACK="fail").returncode == 0
        assert (home.work / output).read_bytes() == (home.work / "local.o").read_bytes()
    assert home.done() == 2
    assert clean(launcher, "gcc", "-shared", "new.o", "-o", "new.so").returncode == 0
    assert clean(launcher, "gcc", "-c", "none.c").returncode == 1
    assert clean(launcher, "--explain", "gcc", "-c", "a.c").stdout.startswith("on a ")
    assert clean(launcher, "--version").returncode == 0
    assert clean(launcher, "no-such-compiler").returncode == 127
    assert clean("sh", "-c", f"exec {launcher} gcc -c a.c 2>&-").returncode == 0
    masquerade = home.work / "gcc"
    os.symlink(launcher, masquerade)
    assert clean(str(masquerade), "-c", "a.c", PATH=f"{home.work}::{home.environ['PATH']}").returncode == 0
    assert clean(launcher, "--stop").returncode == 0
    assert clean(launcher, "gcc", "-c", "a.c", DISTPLUSPLUS_AGENT="/bin/false").returncode == 0
    assert clean(launcher, "gcc", "-c", "a.c", DISTPLUSPLUS_RUNTIME_DIR="/" + "x" * 150).returncode == 0
