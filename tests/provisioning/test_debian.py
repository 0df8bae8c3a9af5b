"""A bare Debian host from nothing to a worker and back, in the order in which a user does it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from distcc_auto.commands.demo import write_program
from tests.integration.server.harness import Client
from tests.provisioning.bare_host import PASSWORD, ROOT, BareHost, environment, fab_command, wait_for

pytestmark = pytest.mark.timeout(400)

SUDO = "--prompt-for-sudo-password"


@pytest.fixture(scope="module")
def before(bare: BareHost) -> dict[str, list[str]]:
    """What the host had before anything was provisioned."""
    bare.run("apt-get update -qq && ufw allow 22/tcp && ufw --force enable")
    return {"packages": bare.packages(), "files": bare.files()}


@pytest.fixture(scope="module")
def provision(bare: BareHost) -> list[str]:
    """The command that all of these runs give."""
    key = str(bare.key.with_suffix(".pub"))
    return ["provision", "worker-1", "--allow", "this-machine", "--allow", "192.0.2.0/24", "--tunnel-key", key]


def test_an_unknown_host_key_is_refused_with_the_command_that_accepts_it(bare: BareHost, provision: list[str]) -> None:
    output = bare.fab(*provision, expect=1)
    assert "host key is not known" in output
    printed = bare.run("ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub").split()[1]
    assert printed in output
    assert f"ssh -F {bare.ssh_config} -- worker-1 exit" in output
    assert not bare.known_hosts.exists()
    bare.trust()


def test_a_sudo_that_asks_is_told_of_before_anything_happens(bare: BareHost, provision: list[str]) -> None:
    assert SUDO in bare.fab(*provision, expect=1)


def test_a_dry_run_shows_all_and_changes_nothing(
    bare: BareHost, before: dict[str, list[str]], provision: list[str]
) -> None:
    ran = bare.fab_typing(PASSWORD, SUDO, *provision, "--dry-run")
    assert ran.status == 0, ran.output
    assert "would change: packages: distcc gcc g++" in ran.output
    assert "would change: firewall open: ufw 192.0.2.0/24 3632" in ran.output
    assert bare.packages() == before["packages"]
    assert bare.files() == before["files"]


def test_a_power_cut_in_the_middle_of_the_installation_is_survived(
    bare: BareHost, before: dict[str, list[str]], provision: list[str]
) -> None:
    bare.run("echo 'admin ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/admin")
    running = subprocess.Popen(
        fab_command(bare.ssh_config, provision),
        cwd=ROOT,
        env=environment(bare.directory),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(
            "dpkg unpacks", lambda: "half" in bare.run("dpkg-query -W -f '${db:Status-Status}\\n'", check=False), 200
        )
        bare.power_cut()
    finally:
        running.send_signal(signal.SIGKILL)
        running.wait(30)
    assert len(bare.packages()) > len(before["packages"])
    bare.run("echo 'admin ALL=(ALL) ALL' >/etc/sudoers.d/admin")


def test_provision_completes_and_proves_itself(bare: BareHost, provision: list[str]) -> None:
    ran = bare.fab_typing(PASSWORD, SUDO, *provision)
    assert ran.status == 0, ran.output
    assert "an earlier run was interrupted" in ran.output
    assert f"proved: compiled through tcp://{bare.address}" in ran.output
    assert f'DISTCC_AUTO_HOSTS="tcp://{bare.address}"' in ran.output
    assert PASSWORD not in ran.output


def test_the_password_is_nowhere_on_the_worker(bare: BareHost) -> None:
    found = bare.run(
        f"grep -rlF {PASSWORD} /etc /home /root /tmp /var/log /var/lib /usr/local 2>/dev/null;"
        f"journalctl --no-pager --namespace='*' | grep -cF {PASSWORD}",
        check=False,
    )
    assert found.split() == ["0"]


def test_a_second_run_changes_nothing_and_another_host_that_fails_does_not_matter_to_it(
    bare: BareHost, provision: list[str]
) -> None:
    bare.run("echo 'admin ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/admin")
    process = bare.run("systemctl show -p MainPID --value distcc-worker")
    output = bare.fab(*provision, "nowhere.invalid", expect=1)
    assert "worker-1: unchanged" in output
    assert re.search(r"nowhere.invalid: FAILED: no ssh connection to nowhere.invalid:22", output)
    assert "1 of 2 hosts failed: nowhere.invalid" in output
    assert bare.run("systemctl show -p MainPID --value distcc-worker") == process


def test_the_daemon_is_unprivileged_and_only_the_allowed_clients_come_through(bare: BareHost) -> None:
    pid = bare.run("systemctl show -p MainPID --value distcc-worker").strip()
    status = dict(line.split(":", 1) for line in bare.run(f"cat /proc/{pid}/status").splitlines())
    assert "0" not in status["Uid"].split()
    assert int(status["CapBnd"], 16) == 0
    assert status["NoNewPrivs"].strip() == "1"
    rules = bare.run("ufw status")
    assert re.search(r"^3632/tcp +ALLOW +192\.0\.2\.0/24 +# distcc-worker", rules, re.MULTILINE)
    assert not re.search(r"^363[23]/tcp.*Anywhere", rules, re.MULTILINE)
    assert "100M" in bare.run("cat /etc/systemd/journald@distcc-worker.conf")


def test_the_tunnel_account_can_open_tunnels_to_distccd_and_nothing_else(bare: BareHost) -> None:
    login = ["ssh", "-F", str(bare.ssh_config), "-l", "distcc-tunnel", "-o", "BatchMode=yes"]
    statistics = subprocess.run(
        [*login, "-W", "localhost:3633", "worker-1"],
        input="GET / HTTP/1.0\r\n\r\n",
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert "</distccstats>" in statistics.stdout
    for forbidden in (["-W", "localhost:22", "worker-1"], ["worker-1", "id"]):
        done = subprocess.run(
            [*login, *forbidden], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False
        )
        assert done.returncode != 0
        assert done.stdout == ""


@pytest.mark.parametrize("scheme", ["tcp", "ssh"])
def test_distcc_auto_builds_a_program_on_it(bare: BareHost, tmp_path: Path, scheme: str) -> None:
    files = write_program(str(tmp_path))
    host = f"tcp://{bare.address}" if scheme == "tcp" else "ssh://distcc-tunnel@worker-1"
    ssh = tmp_path / "bin" / "ssh"
    ssh.parent.mkdir()
    ssh.write_text(f'#!/bin/sh\nexec /usr/bin/ssh -F {bare.ssh_config} "$@"\n')
    ssh.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-m", "distcc_auto", "--report", "make", "-s"],
        cwd=tmp_path,
        env=os.environ
        | {
            "PATH": f"{ssh.parent}:{os.environ['PATH']}",
            "DISTCC_AUTO_HOSTS": host,
            "DISTCC_FALLBACK": "0",
            "DISTCC_DIR": str(tmp_path),
        },
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert re.search(rf"{host} \(\d+ slots?\): {files} jobs, 100 %", done.stderr), done.stderr
    assert subprocess.run([tmp_path / "primes"], capture_output=True, text=True, check=True).stdout.endswith("5133\n")


def test_drain_lets_a_running_job_end_and_resume_takes_jobs_again(bare: BareHost, tmp_path: Path) -> None:
    slow = '#!/bin/sh\nsleep 3\nexec gcc "$@"\n'
    bare.run("cat >/usr/bin/gcc-99; chmod 755 /usr/bin/gcc-99; ln -s /usr/bin/distcc /usr/lib/distcc/gcc-99", text=slow)
    (tmp_path / "slow.c").write_text("int slow(void) { return 1; }\n")
    environ = os.environ | {"DISTCC_HOSTS": bare.address, "DISTCC_FALLBACK": "0", "DISTCC_DIR": str(tmp_path)}
    local = tmp_path / "gcc-99"
    local.write_text('#!/bin/sh\nexec gcc "$@"\n')
    local.chmod(0o755)
    environ["PATH"] = f"{tmp_path}:{environ['PATH']}"
    job = subprocess.Popen(["distcc", "gcc-99", "-c", "slow.c"], cwd=tmp_path, env=environ)
    try:
        wait_for("the job has begun", lambda: "sleep" in bare.run("cat /proc/[0-9]*/comm", check=False))
        assert "changed: drained" in bare.fab("drain", "worker-1")
        assert job.wait(30) == 0
    finally:
        job.kill()
        job.wait()
        bare.run("rm /usr/bin/gcc-99 /usr/lib/distcc/gcc-99")
    assert json.loads(bare.fab("status", "worker-1", "--json"))["workers"][0]["service"] == "drained"
    assert "unchanged" in bare.fab("drain", "worker-1")
    assert "changed" in bare.fab("resume", "worker-1")
    assert json.loads(bare.fab("status", "worker-1", "--json"))["workers"][0]["service"] == "running"


def test_sync_compilers_makes_our_names_mean_our_compilers_there(bare: BareHost, tmp_path: Path) -> None:
    """Its own gcc is made an old one: what distccd runs under that name must be ours all the same."""
    names = ("gcc", "x86_64-linux-gnu-gcc")
    old = '#!/bin/sh\n[ "$1" = --version ] && echo "${0##*/} (Old) 9.9.9"\n'
    for name in names:
        bare.run(f"cat >/usr/local/bin/{name} && chmod 755 /usr/local/bin/{name}", text=old)
        (tmp_path / name).symlink_to(f"/usr/bin/{name}")
    (tmp_path / "ssh").symlink_to("/usr/bin/ssh")
    output = bare.fab("sync-compilers", "worker-1", path=str(tmp_path))
    assert "for distccd, gcc is gcc-12" in output
    assert "2 of 2 compilers match this machine's" in output
    assert "unchanged" in bare.fab("sync-compilers", "worker-1", path=str(tmp_path))
    assert "proved: compiled through" in bare.fab("provision", "worker-1", "--allow", "this-machine")
    (tmp_path / "gcc").unlink()
    (tmp_path / "gcc").write_text("#!/bin/sh\necho 'gcc (Here) 99.1.0'\n")
    (tmp_path / "gcc").chmod(0o755)
    different = bare.fab("sync-compilers", "worker-1", path=str(tmp_path), expect=1)
    assert "differs: gcc: here (Here) 99.1.0; there (Old) 9.9.9" in different
    for name in names:
        bare.run(f"rm /usr/local/bin/{name}")


def test_upgrade_without_anything_newer_changes_nothing(bare: BareHost) -> None:
    assert "worker-1: unchanged" in bare.fab("upgrade", "worker-1")


def test_clients_that_are_no_longer_allowed_are_closed_out(bare: BareHost) -> None:
    """The last runs did not name 192.0.2.0/24 and the tunnel key any more."""
    assert "192.0.2" not in bare.run("ufw status; systemctl show -p ExecStart distcc-worker")
    assert bare.run("getent passwd distcc-tunnel; ls /etc/ssh/sshd_config.d", check=False) == ""


def test_remove_leaves_packages_files_and_firewall_as_they_were(bare: BareHost, before: dict[str, list[str]]) -> None:
    bare.fab("remove", "worker-1")
    assert bare.packages() == before["packages"]
    assert bare.files() == before["files"]
    assert "distcc" not in bare.run("ufw status")
    assert "worker-1: unchanged" in bare.fab("remove", "worker-1")


GRPC = ("provision", "grpc://worker-1", "--allow", "this-machine", "--allow", "192.0.2.0/24")
GRPCS = ("provision", "grpcs://worker-1", *GRPC[2:])


def test_distplusplusd_is_provisioned_with_tls_and_proved(bare: BareHost, before: dict[str, list[str]]) -> None:
    """On the host that is bare again."""
    output = bare.fab(*GRPCS, "--dry-run")
    assert "would change: packages: gcc g++" in output
    assert "would change: firewall open: ufw 192.0.2.0/24 3634" in output
    assert bare.files() == before["files"]
    output = bare.fab(*GRPCS)
    assert f"proved: compiled through grpcs://{bare.address} in" in output
    assert re.search(r"by gcc \(.*g\+\+ \(", output)
    assert f'DISTCC_AUTO_HOSTS="grpcs://{bare.address}"' in output
    assert "grpcs://worker-1: unchanged" in bare.fab(*GRPCS, "--no-proof")
    assert "runs distplusplusd; run `fab remove worker-1`" in bare.fab("provision", "worker-1", *GRPC[2:], expect=1)


def test_its_key_stays_there_and_its_certificate_is_what_our_configuration_names(
    bare: BareHost, tmp_path: Path
) -> None:
    assert bare.run("stat -c '%a %U' /etc/distcc-worker/tls/server.key").split() == ["600", "root"]
    key = bare.run("cat /etc/distcc-worker/tls/server.key").splitlines()[1]
    assert not any(key in path.read_text(errors="replace") for path in bare.directory.rglob("*") if path.is_file())
    certificate = bare.directory / ".config" / "distplusplus" / "worker-1.pem"
    files = write_program(str(tmp_path))
    toml = tmp_path / "distplusplus.toml"
    toml.write_text(f'servers = [{{ address = "grpcs://{bare.address}", ca = "{certificate}" }}]\n')
    done = subprocess.run(
        [sys.executable, "-m", "distcc_auto", "--report", "make", "-s"],
        cwd=tmp_path,
        env=environment(tmp_path)
        | {
            "DISTCC_AUTO_HOSTS": f"grpcs://{bare.address}",
            "DISTPLUSPLUS_SYSTEM_CONFIG": str(toml),
            "DISTCC_FALLBACK": "0",
        },
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert re.search(rf"\(\d+ slots?\): {files} jobs, 100 %", done.stderr), done.stderr


def test_without_tls_the_key_goes_and_the_server_is_confined_all_the_same(bare: BareHost) -> None:
    assert f"proved: compiled through grpc://{bare.address} in" in bare.fab(*GRPC)
    # A name that sync-compilers has made for the service alone.
    bare.run("mkdir /usr/local/lib/distcc-worker && ln -s /usr/bin/gcc-12 /usr/local/lib/distcc-worker/gcc-77")
    assert "grpc://worker-1: unchanged" in bare.fab(*GRPC, "--no-proof")
    assert bare.run("ls /etc/distcc-worker").split() == ["provisioned.json"]
    pid = bare.run("systemctl show -p MainPID --value distcc-worker").strip()
    status = dict(line.split(":", 1) for line in bare.run(f"cat /proc/{pid}/status").splitlines())
    assert "0" not in status["Uid"].split()
    assert int(status["CapBnd"], 16) == 0
    rules = bare.run("ufw status")
    assert re.search(r"^3634/tcp +ALLOW +192\.0\.2\.0/24 +# distcc-worker", rules, re.MULTILINE)
    assert not re.search(r"^3634/tcp.*Anywhere", rules, re.MULTILINE)
    assert "compiler=g++ file=proof.cc result=ok" in bare.fab("logs", "worker-1")


def test_a_worker_of_the_release_before_is_upgraded_and_serves(bare: BareHost) -> None:
    """Its unit started another module, which lay elsewhere in the software that it was sent."""
    unit = "/etc/systemd/system/distcc-worker.service"
    todays = bare.run(f"cat {unit}")
    bare.run(
        f"sed -i 's/-m distplusplus.server /-m distcc_auto.distplusplus.server.main /' {unit} && "
        "systemctl daemon-reload && cd /usr/local/lib/distplusplusd"
        " && rm -r distcc_auto && mkdir distcc_auto"
        " && mv distcc_common distplusplus distcc_auto/"
        " && echo 0.0.9 old >version"
    )
    assert "distcc_auto.distplusplus.server.main" in bare.run(f"cat {unit}")
    output = bare.fab("upgrade", "worker-1")
    assert f"changed: {unit}" in output
    assert bare.run(f"cat {unit}") == todays
    client = Client(f"{bare.address}:3634")
    with client.channel:
        assert client.object(compiler="gcc")
    assert "worker-1: unchanged" in bare.fab("upgrade", "worker-1")


def test_distplusplusd_is_drained_resumed_upgraded_and_removed(bare: BareHost, before: dict[str, list[str]]) -> None:
    slow = '#!/bin/sh\ncase "$*" in *hello*) sleep 6 ;; esac\nexec gcc "$@"\n'
    bare.run("cat >/usr/bin/gcc-99; chmod 755 /usr/bin/gcc-99", text=slow)
    bare.run("ln -s /usr/bin/gcc-99 /usr/libexec/distplusplus/gcc-99")
    client = Client(f"{bare.address}:3634")
    with client.channel, ThreadPoolExecutor() as pool:
        job = pool.submit(client.object, compiler="gcc-99")
        wait_for("the job has begun", lambda: "sleep" in bare.run("cat /proc/[0-9]*/comm", check=False))
        assert "changed: drained" in bare.fab("drain", "worker-1")
        assert job.result(20)
    bare.run("rm /usr/bin/gcc-99 /usr/libexec/distplusplus/gcc-99")
    status = json.loads(bare.fab("status", "worker-1", "--json"))["workers"][0]
    assert (status["service"], status["daemon"].split()[0]) == ("drained", "distplusplusd")
    assert "1 changed" in bare.fab("resume", "worker-1")
    bare.run("echo 0.0.9 old >/usr/local/lib/distplusplusd/version")
    output = bare.fab("upgrade", "worker-1")
    assert "changed: drained" in output
    assert "sent over ssh" in output
    assert json.loads(bare.fab("status", "worker-1", "--json"))["workers"][0]["service"] == "running"
    bare.fab("remove", "worker-1")
    assert bare.packages() == before["packages"]
    assert bare.files() == before["files"]
    assert "distcc" not in bare.run("ufw status")
