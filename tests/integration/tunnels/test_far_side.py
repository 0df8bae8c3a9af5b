"""A far side that cannot be used is dropped with exactly its cause and remedy."""

from __future__ import annotations

import os
import signal
import socket
import subprocess

import pytest

from distcc_auto.demo.loopback import LoopbackWorker, free_ports
from tests.integration.tunnels.lab import Lab, Sshd, wait_until


@pytest.mark.parametrize("option", ["AllowTcpForwarding no", "AllowTcpForwarding remote", "DisableForwarding yes"])
def test_forwarding_is_forbidden(lab: Lab, worker: LoopbackWorker, option: str) -> None:
    with Sshd(lab, option) as server:
        host = f"ssh://{lab.host('w', server)}/{worker.distcc_port}/{worker.stats_port}"
        answer = lab.survey(host)[host]
        assert answer["phase"] == "connect"
        assert answer["reason"] == f"its sshd forbids forwarding to localhost:{worker.distcc_port}"
        assert "AllowTcpForwarding local" in answer["remedy"]
    lab.assert_nothing_left()


def test_one_port_is_not_permitted(lab: Lab, worker: LoopbackWorker) -> None:
    ports = (worker.distcc_port, worker.stats_port)
    with Sshd(lab, f"PermitOpen localhost:{ports[0]}") as jobs, Sshd(lab, f"PermitOpen localhost:{ports[1]}") as stats:
        only_jobs = f"ssh://{lab.host('jobs', jobs)}/{ports[0]}/{ports[1]}"
        only_stats = f"ssh://{lab.host('stats', stats)}/{ports[0]}/{ports[1]}"
        answers = lab.survey(f"{only_jobs} {only_stats}")
        assert answers[only_jobs]["reason"] == f"its sshd forbids forwarding to localhost:{ports[1]}"
        assert answers[only_stats]["reason"] == f"its sshd forbids forwarding to localhost:{ports[0]}"
        assert f"PermitOpen is set, add localhost:{ports[1]}" in answers[only_jobs]["remedy"]


def test_no_distccd(lab: Lab, server: Sshd) -> None:
    jobs, stats = free_ports("127.0.0.1", 2)
    host = f"ssh://{lab.host('w', server)}/{jobs}/{stats}"
    answer = lab.survey(host)[host]
    assert answer["reason"] == f"nothing listens on port {jobs} there"
    assert "start distccd there" in answer["remedy"]


def test_no_stats(lab: Lab, server: Sshd, worker: LoopbackWorker) -> None:
    (nothing,) = free_ports("127.0.0.1", 1)
    host = f"ssh://{lab.host('w', server)}/{worker.distcc_port}/{nothing}"
    answer = lab.survey(host)[host]
    assert answer["reason"] == f"nothing listens on port {nothing} there, but distccd's job port does"
    assert "--stats" in answer["remedy"]


def test_a_wrong_job_port(lab: Lab, server: Sshd, worker: LoopbackWorker) -> None:
    (nothing,) = free_ports("127.0.0.1", 1)
    host = f"ssh://{lab.host('w', server)}/{nothing}/{worker.stats_port}"
    assert lab.survey(host)[host]["reason"] == f"nothing listens on port {nothing} there"


def test_the_stats_port_is_something_else(lab: Lab, server: Sshd, worker: LoopbackWorker) -> None:
    host = f"ssh://{lab.host('w', server)}/{worker.distcc_port}/{server.port}"
    answer = lab.survey(host)[host]
    assert answer["reason"] == f"port {server.port} there answered, but without <distccstats>"


def test_distccd_does_not_let_the_tunnel_in(lab: Lab, server: Sshd) -> None:
    jobs, stats = free_ports("127.0.0.1", 2)
    command = ["distccd", "--no-detach", "--daemon", "--user", "nobody", "--listen", "127.0.0.1", "--jobs", "2"]
    command += ["--port", str(jobs), "--stats", "--stats-port", str(stats), "--allow", "127.99.0.0/16"]
    distccd = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: accepts(stats), "distccd to listen")
        host = f"ssh://{lab.host('w', server)}/{jobs}/{stats}"
        answer = lab.survey(host)[host]
        assert "closed" in answer["reason"]
        assert "--allow list include 127.0.0.1" in answer["remedy"]
    finally:
        os.killpg(distccd.pid, signal.SIGTERM)
        distccd.wait()


def accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_host_that_fails_leaves_the_others(lab: Lab, server: Sshd, worker: LoopbackWorker) -> None:
    with Sshd(lab, "AllowTcpForwarding no") as forbidding:
        bad = f"ssh://{lab.host('bad', forbidding)}/{worker.distcc_port}/{worker.stats_port}"
        good = f"ssh://{lab.host('good', server)}/{worker.distcc_port}/{worker.stats_port}"
        driver = lab.start(f"{bad} {worker.spec} {good}", "true")
        _, messages = driver.communicate(timeout=60)
        assert driver.returncode == 0
        assert f"{bad}: connect: its sshd forbids forwarding" in messages
        assert "building without it" in messages
        assert "2 workers with 4 slots" in messages
