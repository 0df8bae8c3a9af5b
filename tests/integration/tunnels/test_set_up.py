"""How tunnels come up: what ssh_config says applies, and what could disturb is off."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from distcc_auto.demo.loopback import LoopbackWorker, free_ports
from distcc_auto.hosts import SshHost
from distcc_auto.reach.ssh.failures import Failure
from distcc_auto.reach.ssh.local_ends import LocalEnd
from distcc_auto.reach.ssh.ssh_process import SshProcess
from distcc_auto.reach.ssh.tunnel import Tunnel
from tests.integration.tunnels.lab import USER, Lab, Sshd, agent, make_key, wait_until


def test_a_build_runs_through_the_tunnel(lab: Lab, server: Sshd, worker: LoopbackWorker) -> None:
    alias = lab.host("Worker-1", server)
    host = f"ssh://{alias}/{worker.distcc_port}/{worker.stats_port}"
    sources = lab.directory / "sources"
    sources.mkdir()
    for number in range(4):
        (sources / f"{number}.c").write_text(f"int f{number}(void) {{ return {number}; }}\n")
    (sources / "Makefile").write_text("all: 0.o 1.o 2.o 3.o\n%.o: %.c\n\tdistcc gcc -c $< -o $@\n")

    driver = lab.start(host, "--report", "make", "-C", str(sources), DISTCC_FALLBACK="0")
    _, messages = driver.communicate(timeout=60)

    assert driver.returncode == 0, messages
    assert f"{host} (2 slots): 4 jobs, 100 %" in messages
    assert worker.jobs_done() == 4
    lab.assert_nothing_left()


def test_hosts_tells_the_users_name(lab: Lab, server: Sshd, worker: LoopbackWorker) -> None:
    host = f"ssh://{lab.host('w', server)}/{worker.distcc_port}/{worker.stats_port}"
    answer = lab.survey(host)[host]
    assert (answer["kind"], answer["state"], answer["slots"]) == ("ssh", "ready", 2)
    lab.assert_nothing_left()


def test_without_an_alias(lab: Lab, server: Sshd, worker: LoopbackWorker) -> None:
    lab.host("127.0.0.1", server, user="somebody-else")
    config = lab.config.read_text().replace(f"Port {server.port}", "Port 1")
    lab.config.write_text(config)
    host = f"ssh://{USER}@127.0.0.1:{server.port}/{worker.distcc_port}/{worker.stats_port}"
    assert lab.survey(host)[host]["state"] == "ready"


def test_every_tunnel_has_its_own_address(lab: Lab, server: Sshd, worker: LoopbackWorker) -> None:
    ports = f"/{worker.distcc_port}/{worker.stats_port}"
    hosts = [f"ssh://{lab.host(f'w{number}', server)}{ports}" for number in range(8)]
    first = lab.start(" ".join(hosts), "sh", "-c", 'echo "$DISTCC_HOSTS"; : {jobs}')
    second = lab.start(" ".join(hosts), "sh", "-c", 'echo "$DISTCC_HOSTS"; : {jobs}')
    chosen = []
    for driver in (first, second):
        output, messages = driver.communicate(timeout=60)
        assert driver.returncode == 0, messages
        entries = [word.partition("/")[0] for word in output.split() if word.startswith("127.")]
        assert len({entry.partition(":")[0] for entry in entries}) == 8, output
        chosen += entries
    assert len(set(chosen)) == 16


def test_the_agents_key_is_used(lab: Lab, server: Sshd, worker: LoopbackWorker) -> None:
    host = f"ssh://{lab.host('w', server, 'IdentityFile none')}/{worker.distcc_port}/{worker.stats_port}"
    assert lab.survey(host)[host]["state"] == "refused"
    with agent(lab.key) as environ:
        assert lab.survey(host, **environ)[host]["state"] == "ready"


def test_a_jump_host_is_used(lab: Lab, worker: LoopbackWorker) -> None:
    with Sshd(lab) as jump, Sshd(lab, "PermitOpen none") as no_jump, Sshd(lab) as server:
        lab.host("jump", jump)
        lab.host("no-jump", no_jump)
        ports = f"/{worker.distcc_port}/{worker.stats_port}"
        behind = f"ssh://{lab.host('behind', server, 'ProxyJump jump')}{ports}"
        cut_off = f"ssh://{lab.host('cut-off', server, 'ProxyJump no-jump')}{ports}"
        answers = lab.survey(f"{behind} {cut_off}")
        assert answers[behind]["state"] == "ready"
        assert "its jump host does not let us through: administratively prohibited" in answers[cut_off]["reason"]
        assert "PermitOpen" in answers[cut_off]["remedy"]
        assert f"Accepted publickey for {USER}" in jump.log()
        lab.assert_nothing_left()


def test_a_crowded_jump_host_is_tried_again(lab: Lab, worker: LoopbackWorker) -> None:
    with Sshd(lab, "MaxStartups 2:100:2") as jump, Sshd(lab) as server:
        lab.host("jump", jump)
        ports = f"/{worker.distcc_port}/{worker.stats_port}"
        hosts = [f"ssh://{lab.host(f'w{number}', server, 'ProxyJump jump')}{ports}" for number in range(8)]
        answers = lab.survey(" ".join(hosts))
        assert [answers[host]["reason"] for host in hosts if answers[host]["state"] != "ready"] == []
        assert "MaxStartups" in jump.log()


def test_what_is_not_needed_is_off(lab: Lab, server: Sshd, worker: LoopbackWorker, tmp_path: Path) -> None:
    (own_port,) = free_ports("127.0.0.1", 1)
    ran = tmp_path / "local-command-ran"
    alias = lab.host(
        "w",
        server,
        f"LocalForward 127.0.0.1:{own_port} localhost:{worker.stats_port}",
        f"RemoteForward {own_port + 1} localhost:1",
        "PermitLocalCommand yes",
        f"LocalCommand touch {ran}",
        "RemoteCommand true",
        "RequestTTY force",
        "ForwardAgent yes",
        "ForwardX11 yes",
        "ForkAfterAuthentication yes",
        "ExitOnForwardFailure yes",
        "ControlMaster auto",
        f"ControlPath {tmp_path}/shared-%h",
        "ControlPersist yes",
        "Compression yes",
        "LogLevel QUIET",
    )
    host = f"ssh://{alias}/{worker.distcc_port}/{worker.stats_port}"
    with agent(lab.key) as environ:
        driver = lab.start(host, "sh", "-c", "echo up; read line; : {jobs}", DISPLAY=":9", **environ)
        assert driver.stdout
        driver.stdout.readline()
        try:
            with socket.socket() as probe:
                assert probe.connect_ex(("127.0.0.1", own_port)) != 0
            assert not ran.exists()
            assert not list(tmp_path.glob("shared-*"))
            assert list(lab.temporary.iterdir()) == []
            (client,) = lab.ssh_clients()
            assert client.ppid() != 1
        finally:
            driver.communicate(timeout=60)
    lab.assert_nothing_left()


def test_an_unknown_host_key_is_not_accepted(lab: Lab, server: Sshd, worker: LoopbackWorker) -> None:
    host = f"ssh://{lab.host('w', server, knows_key=False)}/{worker.distcc_port}/{worker.stats_port}"
    answer = lab.survey(host)[host]
    assert answer["phase"] == "tunnel"
    assert "is not known here" in answer["reason"]
    assert answer["remedy"] == "log in once, and accept the key if it is right: ssh w exit"
    assert not lab.known_hosts.exists()

    # The remedy is right: with the key accepted by hand, the tunnel comes up.
    lab.config.write_text(lab.config.read_text() + "  StrictHostKeyChecking accept-new\n")
    subprocess.run(["ssh", "w", "exit"], env=lab.environ(""), capture_output=True, check=False)
    assert lab.survey(host)[host]["state"] == "ready"


def test_a_changed_host_key_is_not_accepted(lab: Lab, server: Sshd, worker: LoopbackWorker) -> None:
    other = lab.directory / "other_host_key"
    make_key(other)
    host = f"ssh://{lab.host('w', server, knows_key=False)}/{worker.distcc_port}/{worker.stats_port}"
    lab.know(server, other)
    answer = lab.survey(host)[host]
    assert "is not the one known here" in answer["reason"]
    assert f'-R "[127.0.0.1]:{server.port}"' in answer["remedy"]


def test_the_set_up_is_bounded(lab: Lab, server: Sshd, worker: LoopbackWorker) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        host = f"ssh://127.0.0.1:{port}"
        good = f"ssh://{lab.host('w', server)}/{worker.distcc_port}/{worker.stats_port}"
        answers = lab.survey(f"{host} {good}", DISTCC_AUTO_TUNNEL_TIMEOUT="2")
        assert answers[host]["reason"] == "no login within 2 s"
        assert answers[good]["state"] == "ready"
    lab.assert_nothing_left()


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ("ssh://127.0.0.1:1", "no connection to 127.0.0.1 port 1: Connection refused"),
        ("ssh://no-such-host.invalid", "no address for 'no-such-host.invalid'"),
    ],
)
def test_what_cannot_be_reached_is_told(lab: Lab, spec: str, reason: str) -> None:
    assert reason in lab.survey(spec)[spec]["reason"]


def test_without_ssh_the_rest_still_builds(lab: Lab, worker: LoopbackWorker) -> None:
    (lab.directory / "bin" / "ssh").unlink()
    for name in ("distcc", "true"):
        (lab.directory / "bin" / name).symlink_to(shutil.which(name) or name)
    path = str(lab.directory / "bin")

    driver = lab.start(f"ssh://a ssh://b {worker.spec}", "true", PATH=path)
    _, messages = driver.communicate(timeout=60)
    assert driver.returncode == 0
    assert messages.count("ssh client is not in PATH") == 1
    assert "ssh://a, ssh://b: tunnel: the ssh client is not in PATH" in messages
    assert "1 worker with 2 slots" in messages

    nothing_left = lab.start("ssh://a", "true", PATH=path, DISTCC_AUTO_FALLBACK_LOCAL_JOBS="0")
    _, messages = nothing_left.communicate(timeout=60)
    assert nothing_left.returncode == 97, messages


def test_the_account_of_the_documentation(lab: Lab, worker: LoopbackWorker) -> None:
    page = (Path(__file__).parents[3] / "docs" / "ssh.md").read_text()
    (account,) = re.findall(r"```sshd-config\n(.*?)```", page, re.DOTALL)
    (options,) = re.findall(r"```authorized-keys\n(.*) ssh-ed25519 AAAA...\n```", page)
    for shown, real in (("3632", worker.distcc_port), ("3633", worker.stats_port), ("User tunnel", f"User {USER}")):
        account, options = account.replace(shown, str(real)), options.replace(shown, str(real))
    keys = lab.directory / "authorized_keys"
    keys.write_text(f"{options} {keys.read_text()}")
    with Sshd(lab, last=account) as server:
        alias = lab.host("w", server)
        good = f"ssh://{alias}/{worker.distcc_port}/{worker.stats_port}"
        other = f"ssh://{alias}/{server.port}/{worker.stats_port}"
        answers = lab.survey(f"{good} {other}")
        assert answers[good]["state"] == "ready", answers
        assert answers[other]["reason"] == f"its sshd forbids forwarding to localhost:{server.port}"
        shell = subprocess.run(["ssh", alias, "true"], env=lab.environ(""), capture_output=True, check=False)
        assert shell.returncode == 255


def test_a_busy_port_is_replaced(lab: Lab, server: Sshd, worker: LoopbackWorker) -> None:
    alias = lab.host("w", server)
    ssh = str(lab.directory / "bin" / "ssh")

    def start(host: SshHost, local: LocalEnd, terminal: int | None) -> SshProcess:
        return SshProcess(ssh, host, local, lab.environ(""), terminal)

    with socket.create_server(("", 0)) as taken:  # as a distccd of this machine listens, on every address
        port = taken.getsockname()[1]
        wanted = LocalEnd("127.70.80.90", port, port + 1)
        moving = Tunnel(SshHost(alias, distcc_port=worker.distcc_port), wanted, start)
        staying = Tunnel(SshHost(alias, distcc_port=worker.distcc_port), wanted, start)
        failures: list[Failure | None] = []
        for tunnel in (moving, staying):
            assert tunnel.start(time.monotonic(), 20) is None
        try:
            wait_until(lambda: moving.advance(may_move=True) or moving.is_up, "the tunnel that may move")

            def has_failed() -> bool:
                failures.append(staying.advance(may_move=False))
                return failures[-1] is not None

            wait_until(has_failed, "the one that may not")
        finally:
            for tunnel in (moving, staying):
                if tunnel.ssh:
                    tunnel.ssh.end()
    assert moving.local.address == wanted.address
    assert moving.local.distcc_port != port
    assert failures[-1]
    assert failures[-1].cause == "ssh cannot listen at 127.70.80.90: Address already in use"


def test_tcp_hosts_do_not_pay_for_tunnels(lab: Lab, worker: LoopbackWorker) -> None:
    script = """
import sys
from distcc_auto import cli
try:
    cli.main(["true"])
except SystemExit as end:
    assert end.code == 0
print(sorted({name.partition(".")[2] for name in sys.modules} & {"tunnels", "tunnels.keeper"}))
"""
    run = subprocess.run(
        [sys.executable, "-c", script], env=lab.environ(worker.spec), capture_output=True, text=True, check=False
    )
    assert run.stdout == "[]\n", run.stderr
