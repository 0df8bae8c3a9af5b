"""Logins that need a password or a passphrase: asked for at the terminal, or refused at once."""

from __future__ import annotations

import time

import psutil

from distcc_auto.demo.loopback import LoopbackWorker
from tests.integration.tunnels.lab import DISTCC_AUTO, PASSWORD, Lab, Sshd, make_key, wait_until

WITH_PASSWORD = ("PasswordAuthentication yes", "PubkeyAuthentication no")
SAY_DONE = ("sh", "-c", "echo $DISTCC_HOSTS; echo all-done; : {jobs}")


def ports(worker: LoopbackWorker) -> str:
    return f"/{worker.distcc_port}/{worker.stats_port}"


def test_passwords_are_asked_for_one_after_the_other(lab: Lab, server: Sshd, worker: LoopbackWorker) -> None:
    with Sshd(lab, *WITH_PASSWORD) as asking:
        first = f"ssh://{lab.host('first', asking)}{ports(worker)}"
        second = f"ssh://{lab.host('second', asking)}{ports(worker)}"
        silent = f"ssh://{lab.host('silent', server)}{ports(worker)}"
        with lab.on_terminal(f"{first} {silent} {second}", *SAY_DONE) as terminal:
            terminal.read_until("password: ")
            assert f"{first}: logging in" in terminal.shown
            assert second not in terminal.shown
            assert "Accepted publickey" in server.log()
            assert not terminal.echoes()
            terminal.type("wrong\n")
            # The prompt comes from ssh itself, the other line through us: either may come first.
            terminal.read_until("password: ")
            terminal.type(f"{PASSWORD}\n")
            terminal.read_until(f"{second}: logging in")
            terminal.read_until("password: ")
            terminal.type(f"{PASSWORD}\n")
            terminal.read_until("all-done")
            assert "3 workers with 6 slots" in terminal.shown
            assert terminal.process.wait(20) == 0
            assert "Permission denied, please try again." in terminal.shown
            assert PASSWORD not in terminal.shown
        lab.assert_nothing_left()


def test_a_passphrase_is_asked_for(lab: Lab, server: Sshd, worker: LoopbackWorker) -> None:
    locked = lab.directory / "locked"
    make_key(locked, passphrase=PASSWORD)
    with (lab.directory / "authorized_keys").open("a") as file:
        file.write((lab.directory / "locked.pub").read_text())
    server.stop()
    server.start()
    host = f"ssh://{lab.host('w', server, f'IdentityFile {locked}')}{ports(worker)}"
    with lab.on_terminal(host, *SAY_DONE) as terminal:
        terminal.read_until("Enter passphrase for key")
        terminal.type(f"{PASSWORD}\n")
        terminal.read_until("all-done")
        assert terminal.process.wait(20) == 0
    lab.assert_nothing_left()


def test_the_terminal_is_given_back(lab: Lab, worker: LoopbackWorker) -> None:
    with Sshd(lab, *WITH_PASSWORD) as asking:
        host = f"ssh://{lab.host('w', asking)}{ports(worker)}"
        with lab.on_terminal(host, "sh", "-c", "read line; echo got-$line; : {jobs}") as terminal:
            terminal.read_until("password: ")
            assert terminal.foreground() != terminal.process.pid
            terminal.type(f"{PASSWORD}\n")
            terminal.read_until("1 worker with 2 slots")
            assert terminal.foreground() == terminal.process.pid
            assert terminal.echoes()
            terminal.type("hello\n")
            terminal.read_until("got-hello")
            assert terminal.process.wait(20) == 0


def test_ctrl_c_at_a_prompt_ends_everything(lab: Lab, worker: LoopbackWorker) -> None:
    with Sshd(lab, *WITH_PASSWORD) as asking:
        host = f"ssh://{lab.host('w', asking)}{ports(worker)}"
        with lab.on_terminal(host, *SAY_DONE) as terminal:
            terminal.read_until("password: ")
            # ssh overlooks a signal that comes between its prompt and its read.
            (client,) = lab.ssh_clients()
            wait_until(lambda: client.status() == psutil.STATUS_SLEEPING, "ssh to read")
            terminal.type("\x03")
            assert terminal.process.wait(20) == 130
            assert terminal.echoes()
        lab.assert_nothing_left()


def test_sigkill_at_a_prompt_leaves_nothing(lab: Lab, worker: LoopbackWorker) -> None:
    with Sshd(lab, *WITH_PASSWORD) as asking:
        host = f"ssh://{lab.host('w', asking)}{ports(worker)}"
        with lab.on_terminal(host, *SAY_DONE) as terminal:
            terminal.read_until("password: ")
            terminal.kill_driver()
            terminal.read_until("Killed")
            lab.assert_nothing_left()
            wait_until(terminal.echoes, "the terminal to echo again")


def test_without_a_terminal_it_is_refused_at_once(lab: Lab, server: Sshd, worker: LoopbackWorker) -> None:
    with Sshd(lab, *WITH_PASSWORD) as asking:
        refused = f"ssh://{lab.host('w', asking)}{ports(worker)}"
        ready = f"ssh://{lab.host('silent', server)}{ports(worker)}"
        started_s = time.monotonic()
        # A graphical prompt is none either, unless the user demands it.
        answers = lab.survey(f"{refused} {ready}", SSH_ASKPASS="/bin/false", DISPLAY=":9")
        assert time.monotonic() - started_s < 15, "no time-out ran"
        assert "there is no terminal to ask for a password or passphrase" in answers[refused]["reason"]
        assert "Permission denied (password)" in answers[refused]["reason"]
        assert "ssh-agent" in answers[refused]["remedy"]
        assert answers[ready]["state"] == "ready"


def test_a_demanded_askpass_is_used(lab: Lab, worker: LoopbackWorker) -> None:
    lab.put_program("askpass", f"echo {PASSWORD}")
    with Sshd(lab, *WITH_PASSWORD) as asking:
        host = f"ssh://{lab.host('w', asking)}{ports(worker)}"
        askpass = str(lab.directory / "bin" / "askpass")
        answers = lab.survey(host, SSH_ASKPASS=askpass, SSH_ASKPASS_REQUIRE="force")
        assert answers[host]["state"] == "ready", answers


def test_a_background_build_does_not_ask(lab: Lab, worker: LoopbackWorker) -> None:
    with Sshd(lab, *WITH_PASSWORD) as asking:
        host = f"ssh://{lab.host('w', asking)}{ports(worker)}"
        script = f"set -m; {DISTCC_AUTO} hosts --json & wait"
        with lab.in_shell(host, script) as terminal:
            terminal.read_until("there is no terminal to ask")


def test_a_build_that_runs_does_not_ask_again(lab: Lab, worker: LoopbackWorker) -> None:
    with Sshd(lab, *WITH_PASSWORD) as asking:
        host = f"ssh://{lab.host('w', asking)}{ports(worker)}"
        with lab.on_terminal(host, "sh", "-c", "echo building; read line; : {jobs}") as terminal:
            terminal.read_until("password: ")
            terminal.type(f"{PASSWORD}\n")
            terminal.read_until("building\r\n")
            (client,) = lab.ssh_clients()
            client.kill()
            terminal.read_until(f"{host}: tunnel given up after ")
            terminal.read_until("a running build cannot ask for a password")
            terminal.type("\n")
            assert terminal.process.wait(20) == 0
    lab.assert_nothing_left()
