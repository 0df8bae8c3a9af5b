"""Hosts that refuse, hang or talk nonsense: each is dropped with one line, and the others build."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
from collections.abc import Callable, Iterator

import pytest

from distcc_auto.answers import Ready
from distcc_auto.demo.loopback import LoopbackWorker, free_ports
from distcc_auto.hosts import TcpHost
from distcc_auto.probe import probe
from tests.integration import fake_workers
from tests.integration.addresses import NOBODY
from tests.integration.fake_workers import GOOD_REPLY, FakePort, with_stats
from tests.integration.sandbox import DISTCC_AUTO, JobCount, Sandbox, wait_until

_FILES = 6


@pytest.fixture
def project(cluster: Sandbox) -> Sandbox:
    """A sandbox with the three workers and a small program to build, and little patience."""
    cluster.environ |= {"DISTCC_AUTO_CONNECT_TIMEOUT": "1", "DISTCC_AUTO_ANSWER_TIMEOUT": "1"}
    cluster.write_project(_FILES)
    return cluster


def _refusals(stderr: str) -> list[str]:
    return [line for line in stderr.splitlines() if line.endswith("; building without it")]


@contextlib.contextmanager
def _refusing() -> Iterator[str]:
    (port,) = free_ports(NOBODY, 1)
    yield f"{NOBODY}:1:{port}"


@contextlib.contextmanager
def _unresolvable() -> Iterator[str]:
    yield "no-such-worker.invalid"


@contextlib.contextmanager
def _stats_port(behave: Callable[..., None]) -> Iterator[str]:
    with FakePort(behave) as port:
        yield port.spec()


_HALF = GOOD_REPLY.partition(b"dcc_load1")[0]

_BAD = {
    "refuses": (_refusing, "connect", "connection refused"),
    "does-not-resolve": (_unresolvable, "resolve", "no address for 'no-such-worker.invalid'"),
    "black-hole": (fake_workers.black_hole, "connect", "no connection to .* within 1 s"),
    "hangs": (lambda: _stats_port(fake_workers.hang), "answer", "did not answer within 1 s"),
    "resets": (lambda: _stats_port(fake_workers.reset), "answer", "connection reset by peer"),
    "closes": (lambda: _stats_port(fake_workers.close), "answer", "closed without an answer"),
    "nonsense": (lambda: _stats_port(fake_workers.say(b"SSH-2.0-OpenSSH_9.2\r\n")), "answer", "without <distccstats>"),
    "binary": (lambda: _stats_port(fake_workers.say(bytes(range(256)) * 4)), "answer", "without <distccstats>"),
    "endless": (lambda: _stats_port(fake_workers.endless), "answer", "more than 64 KiB"),
    "half": (lambda: _stats_port(fake_workers.say(_HALF)), "answer", "only half of the statistics"),
    "half-and-hangs": (lambda: _stats_port(fake_workers.say_and_hang(_HALF)), "answer", "did not answer within 1 s"),
    "no-kids": (
        lambda: _stats_port(fake_workers.say(GOOD_REPLY.replace(b"dcc_max_kids", b"dcc_kids"))),
        "answer",
        "without dcc_max_kids",
    ),
    **{
        f"kids-{kids}": (
            lambda kids=kids: _stats_port(fake_workers.say(with_stats(dcc_max_kids=kids))),  # type: ignore[misc]
            "answer",
            f"dcc_max_kids '{kids}'",
        )
        for kids in ("many", "-4", "1000000", "4.5")
    },
    "kids-0": (lambda: _stats_port(fake_workers.say(with_stats(dcc_max_kids=0))), "slots", "offers no job"),
    "no-memory": (
        lambda: _stats_port(fake_workers.say(with_stats(dcc_free_mem="1023 MB"))),
        "slots",
        "no job of 1024 MiB fits into its 1023 MiB",
    ),
}


@pytest.mark.parametrize(("bad", "phase", "cause"), _BAD.values(), ids=_BAD.keys())
def test_bad_host_is_dropped_with_one_line_and_the_others_build(
    bad: Callable[[], contextlib.AbstractContextManager[str]],
    phase: str,
    cause: str,
    project: Sandbox,
    workers: list[LoopbackWorker],
) -> None:
    count = JobCount(workers)
    with bad() as spec:
        project.environ["DISTCC_AUTO_HOSTS"] += f" {spec}"
        done = project.distcc_auto("make")
    assert done.returncode == 0, done
    (line,) = _refusals(done.stderr)
    form = rf"distcc-auto: {re.escape(spec)}: {phase}: .*{cause}.* \(.+\); building without it"
    assert re.fullmatch(form, line), line
    assert len(line) < 250
    count.all_of(_FILES)


@contextlib.contextmanager
def _distccd(sandbox: Sandbox, address: str, allowed: str) -> Iterator[tuple[int, int]]:
    """The ports of a real distccd that takes jobs from `allowed` only."""
    job_port, stats_port = free_ports(address, 2)
    ports = ["--port", str(job_port), "--stats", "--stats-port", str(stats_port)]
    options = ["--no-detach", "--daemon", "--listen", address, "--allow", allowed, "--jobs", "2", "--log-stderr"]
    # Its unprivileged user cannot write into the sandbox.
    distccd = sandbox.start(["distccd", *ports, *options], env={"TMPDIR": None, "DISTCC_DIR": None})
    try:
        wait_until(lambda: _listens(address, stats_port), "distccd to listen")
        yield job_port, stats_port
    finally:
        os.killpg(distccd.pid, signal.SIGTERM)
        distccd.communicate()


def _listens(address: str, port: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as sock:
        return sock.connect_ex((address, port)) == 0


def test_distccd_that_denies_us_is_dropped(project: Sandbox, workers: list[LoopbackWorker]) -> None:
    count = JobCount(workers)
    with _distccd(project, NOBODY, "127.0.2.1") as (job_port, stats_port):
        project.environ["DISTCC_AUTO_HOSTS"] += f" {NOBODY}:{job_port}:{stats_port}"
        done = project.distcc_auto("make")
    assert done.returncode == 0, done
    (line,) = _refusals(done.stderr)
    assert re.fullmatch(rf"distcc-auto: {re.escape(NOBODY)}:{job_port}:{stats_port}: answer: .*--allow list.*", line), (
        line
    )
    count.all_of(_FILES)


def test_worker_at_an_ipv6_address_takes_its_jobs(project: Sandbox) -> None:
    with _distccd(project, "::1", "::1") as (job_port, stats_port):
        project.environ["DISTCC_AUTO_HOSTS"] = f"[::1]:{job_port}:{stats_port}"
        done = project.distcc_auto("make")
        assert (done.returncode, _refusals(done.stderr)) == (0, []), done
        host = TcpHost("::1", job_port, stats_port)
        wait_until(lambda: _jobs_done(host) == _FILES, f"{_FILES} jobs on the worker")


def _jobs_done(host: TcpHost) -> int | None:
    (answer,) = probe([host], 2, 2)
    assert isinstance(answer, Ready)
    return answer.stats.compile_ok


def test_more_hosts_than_files_may_be_open_are_all_asked(sandbox: Sandbox) -> None:
    with FakePort(fake_workers.say(GOOD_REPLY)) as port:
        hosts = " ".join(port.spec(distcc_port) for distcc_port in range(1, 201))
        limited = ["sh", "-c", 'ulimit -n 80; exec "$@"', "sh", DISTCC_AUTO, "hosts", "--json"]
        done = sandbox.run(limited, env={"DISTCC_AUTO_HOSTS": hosts})
    assert [host["state"] for host in json.loads(done.stdout)["hosts"]] == ["ready"] * 200, done


def test_all_bad_hosts_together_do_not_keep_the_good_ones_from_building(
    project: Sandbox, workers: list[LoopbackWorker]
) -> None:
    count = JobCount(workers)
    with contextlib.ExitStack() as stack:
        # The same name or address twice would be one host.
        specs = [stack.enter_context(bad()) for bad, _, _ in _BAD.values()]
        good = project.environ["DISTCC_AUTO_HOSTS"].split()
        project.environ["DISTCC_AUTO_HOSTS"] = "\n".join([*specs[:10], *good, *specs[10:]])
        done = project.distcc_auto("make")
    assert done.returncode == 0, done
    assert sorted(line.split(": ")[1] for line in _refusals(done.stderr)) == sorted(specs)
    count.all_of(_FILES)


def test_hosts_are_asked_at_the_same_time(sandbox: Sandbox) -> None:
    """Each of these answers only when all are connected: asked one after the other, none would."""
    count = 12
    behave = fake_workers.after_all_have_come(count)
    with contextlib.ExitStack() as stack:
        ports = [stack.enter_context(FakePort(behave)) for _ in range(count)]
        sandbox.environ["DISTCC_AUTO_HOSTS"] = " ".join(port.spec() for port in ports)
        hosts = sandbox.json("hosts", "--json")["hosts"]
    assert [host["state"] for host in hosts] == ["ready"] * count, hosts


def test_worker_that_answers_byte_by_byte_takes_its_jobs(project: Sandbox, workers: list[LoopbackWorker]) -> None:
    worker = workers[1]
    count = JobCount([worker])
    with FakePort(fake_workers.byte_by_byte, worker.address) as port:
        project.environ["DISTCC_AUTO_HOSTS"] = port.spec(worker.distcc_port)
        done = project.distcc_auto("make")
    assert (done.returncode, _refusals(done.stderr)) == (0, []), done
    count.all_of(_FILES)


def test_free_memory_of_a_worker_cuts_its_slots(sandbox: Sandbox) -> None:
    behave = fake_workers.say(with_stats(dcc_max_kids=8, dcc_free_mem="3000 MB"))
    with FakePort(behave) as port:
        sandbox.environ["DISTCC_AUTO_HOSTS"] = port.spec(1234)
        document = sandbox.json("--dry-run", "--json", "make", env={"DISTCC_AUTO_PREPROCESSOR_SATURATION_JOBS": "0"})
        unlimited = sandbox.json("hosts", "--json", env={"DISTCC_AUTO_COMPILER_MEMORY": "0"})
    assert document["command"]["argv"] == ["make", "-j", "2"]
    assert document["command"]["environment"]["DISTCC_HOSTS"] == f"{NOBODY}:1234/2,lzo"
    assert document["hosts"][0]["free_memory_mib"] == 3000
    assert unlimited["hosts"][0]["slots"] == 8


def test_a_name_that_no_name_server_can_have_is_dropped_like_any_other(project: Sandbox) -> None:
    """A label has at most 63 letters (RFC 1035)."""
    name = f"{'a' * 64}.invalid"
    project.environ["DISTCC_AUTO_HOSTS"] += f" {name}"
    done = project.distcc_auto("make")
    assert done.returncode == 0, done
    (line,) = _refusals(done.stderr)
    assert f"{name}: resolve: no address for '{name}'" in line


@pytest.mark.parametrize("arguments", [("hosts",), ("hosts", "--json"), ("--explain",), ("sh", "-c", ":")])
def test_a_stats_port_cannot_steer_the_terminal(arguments: tuple[str, ...], project: Sandbox) -> None:
    hostile = b"\x1b]0;gone\x07\x1b[2J[/red][link=x]"
    reply = b"HTTP/1.0 200 OK\n\n<distccstats>\ndcc_max_kids %b\n</distccstats>\n" % hostile
    with FakePort(fake_workers.say(reply)) as port:
        project.environ["DISTCC_AUTO_HOSTS"] += f" {port.spec()}"
        done = project.distcc_auto(*arguments)
    assert done.returncode == 0, done
    shown = done.stdout + done.stderr
    assert "[2J[/red][link=x]" in shown
    assert all(letter.isprintable() or letter == "\n" for letter in shown), done
