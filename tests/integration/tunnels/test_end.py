"""However the driver ends, no ssh, no socket and no file of it stays."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Iterator

import pytest

from distcc_auto.demo.loopback import LoopbackWorker
from tests.integration.tunnels.lab import Lab, Running, Sshd, wait_until
from tests.integration.tunnels.network import WORKER_ADDRESS, Cable
from tests.integration.tunnels.test_loss import distccd_behind

pytestmark = pytest.mark.long

WAIT = ("sh", "-c", "echo building; exec sleep 60; : {jobs}")


def end_with(number: signal.Signals) -> Callable[[Running], None]:
    return lambda running: running.process.send_signal(number)


def kill_group(running: Running) -> None:
    os.killpg(running.process.pid, signal.SIGKILL)


@pytest.fixture
def hosts(lab: Lab, server: Sshd, worker: LoopbackWorker) -> Iterator[str]:
    """A direct one and one behind a jump host."""
    with Sshd(lab) as jump:
        lab.host("jump", jump)
        ports = f"/{worker.distcc_port}/{worker.stats_port}"
        yield f"ssh://{lab.host('w', server)}{ports} ssh://{lab.host('behind', server, 'ProxyJump jump')}{ports}"


@pytest.mark.parametrize("status", [0, 1])
def test_the_build_ends(lab: Lab, hosts: str, status: int) -> None:
    driver = lab.start(hosts, "sh", "-c", f"exit {status}; : {{jobs}}")
    driver.communicate(timeout=60)
    assert driver.returncode == status
    assert not lab.processes(), "the driver must not return before its tunnels have ended"
    lab.assert_nothing_left()


@pytest.mark.parametrize(
    ("end", "status"),
    [
        (end_with(signal.SIGINT), 130),
        (end_with(signal.SIGTERM), 143),
        (end_with(signal.SIGHUP), 129),
        (end_with(signal.SIGKILL), -9),
        (kill_group, -9),
    ],
    ids=["SIGINT", "SIGTERM", "SIGHUP", "SIGKILL", "SIGKILL to the group"],
)
def test_a_signal_ends_the_driver(lab: Lab, hosts: str, end: Callable[[Running], None], status: int) -> None:
    with lab.running(hosts, *WAIT) as running:
        running.wait_for("building")
        # Two that carry a tunnel, and the one that reaches through the jump host.
        assert len(lab.ssh_clients()) == 3
        assert list(lab.temporary.iterdir()) == []
        end(running)
        assert running.process.wait(20) == status
        assert "tunnel lost" not in running.messages()
        wait_until(lambda: not lab.ssh_clients(), "the end of every ssh")
        for process in lab.processes():  # the build of a driver that was killed
            assert process.name() in ("sleep", "sh")
            process.kill()
    lab.assert_nothing_left()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_during_the_login(lab: Lab, number: signal.Signals) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host = f"ssh://127.0.0.1:{silent.getsockname()[1]}"
        with lab.running(host, *WAIT) as running:
            login, _ = silent.accept()
            with login:
                running.process.send_signal(number)
                assert running.process.wait(20) == -number
        lab.assert_nothing_left()


def test_ctrl_c_at_the_terminal(lab: Lab, hosts: str) -> None:
    with lab.on_terminal(hosts, *WAIT) as terminal:
        terminal.read_until("building\r\n")
        terminal.type("\x03")
        assert terminal.process.wait(20) == 130
        assert "tunnel lost" not in terminal.shown
    lab.assert_nothing_left()


def test_a_killed_keeper_takes_its_tunnels_along(lab: Lab, hosts: str) -> None:
    with lab.running(hosts, "sh", "-c", "echo building; sleep 1; : {jobs}") as running:
        running.wait_for("building")
        parents = {client.ppid() for client in lab.ssh_clients()}
        (keeper,) = parents & {process.pid for process in lab.processes() if process.ppid() == running.process.pid}
        os.kill(keeper, signal.SIGKILL)
        wait_until(lambda: not lab.ssh_clients(), "the end of every ssh")
        assert running.process.wait(20) == 0
    lab.assert_nothing_left()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_driver_ends_in_the_dark(lab: Lab, number: signal.Signals) -> None:
    with (
        Cable() as cable,
        distccd_behind(cable, lab.directory / "distccd.log"),
        Sshd(lab, address=WORKER_ADDRESS, inside=cable.in_worker) as server,
        Sshd(lab, address=WORKER_ADDRESS, inside=cable.in_worker) as jump,
    ):
        lab.host("jump", jump)
        host = f"ssh://{lab.host('w', server, 'ProxyJump jump')}"
        with lab.running(host, *WAIT, inside=cable.in_client) as running:
            running.wait_for("building")
            cable.unplug()
            running.process.send_signal(number)
            running.process.wait(20)
            wait_until(lambda: not lab.ssh_clients(), "the end of every ssh")
            lab.end_builds()
        lab.assert_nothing_left()
