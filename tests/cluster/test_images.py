"""What each image promises. `--rows` names the rows of images/combinations.toml to check, or "all"."""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import re
import shutil
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.models.containers import Container

from distcc_auto.answers import Ready
from distcc_auto.demo.loopback import free_ports
from images.build import combinations
from tests.cluster.cluster import CLIENT_IMAGE, LABEL, WORKER_IMAGE, Network, Worker, wait_until

WORKER_UID = "3632"
# What a build may leave: package lists, logs, host keys, keys by what is in them, passwords.
LEFT_BEHIND = r"""
find /var/lib/apt/lists /var/cache/apt /var/log -type f
find /etc/ssh -name 'ssh_host_*'
grep -rlE 'BEGIN [A-Z ]*PRIVATE KEY' /etc /home /opt /root /srv /tmp /usr/local /var
grep -E '^[^:]+:[^!*:]' /etc/shadow
exit 0
"""


@contextlib.contextmanager
def running(engine: docker.DockerClient, image: str, **kwargs: Any) -> Iterator[Container]:
    container = engine.containers.run(image, detach=True, labels={LABEL: str(os.getpid())}, **kwargs)
    try:
        yield container
    finally:
        container.remove(force=True, v=True)


def output_of(engine: docker.DockerClient, image: str, script: str, **kwargs: Any) -> str:
    with running(engine, image, command=["-c", script], entrypoint=["sh"], **kwargs) as container:
        status = container.wait(timeout=60)["StatusCode"]
        text = container.logs().decode()
        assert status == 0, text
        return str(text)


def ended(engine: docker.DockerClient, image: str, **kwargs: Any) -> tuple[int, str]:
    with running(engine, image, **kwargs) as container:
        return container.wait(timeout=60)["StatusCode"], container.logs().decode()


@pytest.fixture
def worker(network: Network) -> Iterator[Worker]:
    with network.worker() as worker:
        yield worker


@pytest.mark.parametrize("image", [WORKER_IMAGE, CLIENT_IMAGE])
def test_no_package_list_log_key_or_password_is_left_in_the_image(
    engine: docker.DockerClient, images: None, image: str
) -> None:
    del images
    assert output_of(engine, image, LEFT_BEHIND, user="root") == ""


@pytest.mark.parametrize("image", [WORKER_IMAGE, CLIENT_IMAGE])
def test_the_image_runs_unprivileged_and_on_a_read_only_root(
    engine: docker.DockerClient, images: None, image: str
) -> None:
    del images
    uid = output_of(engine, image, "id -u; touch /var/tmp/file 2>/dev/null && exit 1; exit 0", read_only=True)
    assert uid.strip() not in ("", "0")


def test_the_worker_works_on_a_read_only_root_without_any_capability(worker: Worker) -> None:
    status = worker.run("cat", "/proc/1/status")
    assert re.search(r"^Name:\s+tini$", status, re.MULTILINE)
    assert re.search(rf"^Uid:\s+{WORKER_UID}\s+{WORKER_UID}", status, re.MULTILINE)
    assert re.search(r"^CapBnd:\s+0+$", status, re.MULTILINE)
    assert worker.container.attrs["HostConfig"]["ReadonlyRootfs"]
    assert isinstance(worker.ask(), Ready)


def test_the_worker_refuses_to_run_as_root(engine: docker.DockerClient, images: None) -> None:
    del images
    status, output = ended(engine, WORKER_IMAGE, user="root", environment={"DISTCC_WORKER_ALLOW": "attached"})
    assert status == 96
    assert "refusing to run as root" in output


def test_without_an_allow_list_the_worker_does_not_start(engine: docker.DockerClient, images: None) -> None:
    del images
    status, output = ended(engine, WORKER_IMAGE)
    assert status == 96
    assert "DISTCC_WORKER_ALLOW is not set" in output


def test_a_client_that_is_not_on_the_list_gets_neither_job_nor_statistics(network: Network, tmp_path: object) -> None:
    worker = Worker(network, network.free_address(), environment={"DISTCC_WORKER_ALLOW": "192.0.2.1"})
    try:
        worker.start()
        wait_until("the worker to be healthy", 15, lambda: health(worker) == "healthy")
        assert "--allow" in str(worker.ask())
        assert compile_on(worker, str(tmp_path)).returncode != 0
    finally:
        worker.stop()


def health(worker: Worker) -> str:
    worker.container.reload()
    return str(worker.container.attrs["State"]["Health"]["Status"])


def compile_on(worker: Worker, directory: str, source: str = "int x;") -> subprocess.CompletedProcess[str]:
    with open(os.path.join(directory, "file.c"), "w", encoding="ascii") as file:
        file.write(source)
    return subprocess.run(
        ["distcc", "gcc-12", "-O2", "-c", "file.c", "-o", "file.o"],
        cwd=directory,
        env={
            "PATH": os.environ["PATH"],
            "DISTCC_HOSTS": f"{worker.address}/1,lzo",
            "DISTCC_FALLBACK": "0",
            "DISTCC_SKIP_LOCAL_RETRY": "1",
            "DISTCC_DIR": directory,
        },
        capture_output=True,
        text=True,
        check=False,
    )


def signal_distccd(worker: Worker, name: str) -> None:
    worker.run("sh", "-c", f"kill -{name} $(grep -lx distccd /proc/[0-9]*/comm | cut -d/ -f3)")


def test_the_worker_is_healthy_within_seconds_and_says_when_it_is_not(worker: Worker) -> None:
    wait_until("the worker to be healthy", 10, lambda: health(worker) == "healthy")
    # Stopped, not ended: an ended one would be started again.
    signal_distccd(worker, "STOP")
    wait_until("the worker to be unhealthy", 40, lambda: health(worker) == "unhealthy")


def test_jobs_and_free_memory_are_those_of_the_containers_limits(network: Network) -> None:
    with network.worker(nano_cpus=1_500_000_000, mem_limit="700m") as worker:
        answer = worker.ask()
    assert isinstance(answer, Ready)
    assert answer.stats.max_kids == 1  # 1.5 CPUs would be 2 jobs, but 700 MiB are one of 512 MiB
    assert answer.stats.free_memory_mib is not None
    assert 500 < answer.stats.free_memory_mib <= 700


def test_a_hundred_clients_get_statistics_while_distccd_is_restarted(worker: Worker) -> None:
    with concurrent.futures.ThreadPoolExecutor(100) as pool:
        answers = [pool.submit(worker.ask) for _ in range(100)]
        signal_distccd(worker, "KILL")
        answers += [pool.submit(worker.ask) for _ in range(100)]
        refused = [str(answer.result()) for answer in answers if not isinstance(answer.result(), Ready)]
    assert refused == []


def test_connections_that_say_nothing_keep_no_client_from_the_statistics(worker: Worker) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(600):
            stack.enter_context(socket.create_connection((worker.address, 3633), timeout=5))
        assert isinstance(worker.ask(), Ready)


def test_a_distccd_that_lost_only_its_parent_process_is_started_again(worker: Worker, tmp_path: object) -> None:
    def serving() -> set[str]:
        return set(worker.run("sh", "-c", "grep -lx distccd /proc/[0-9]*/comm | cut -d/ -f3").split())

    before = serving()
    worker.run("kill", "-KILL", min(before, key=int))
    wait_until("the old processes to be gone and new ones there", 20, lambda: serving() and not serving() & before)
    worker.wait_until_ready()
    assert compile_on(worker, str(tmp_path)).returncode == 0


def test_where_memory_runs_out_the_kernel_takes_compilers_before_what_keeps_the_worker_alive(worker: Worker) -> None:
    script = 'for d in /proc/[0-9]*; do echo "$(cat $d/comm 2>/dev/null) $(cat $d/oom_score_adj 2>/dev/null)"; done'
    lines = worker.run("sh", "-c", script).splitlines()
    assert "distccd 500" in lines  # compilers inherit it
    assert "tini 0" in lines
    assert "python3 0" in lines


def test_orphans_are_reaped(worker: Worker) -> None:
    worker.run("sh", "-c", "sh -c 'sleep 0.01 & exit 0'")
    count = ["sh", "-c", "cat /proc/[0-9]*/stat 2>/dev/null | grep -c ') Z ' || true"]
    wait_until("no zombie to be there", 10, lambda: worker.run(*count).strip() == "0")


# gcc needs some seconds for it.
SLOW = "int t[256];\n" + "".join(
    f"int f{n}(int x) {{ for (int i = 0; i < x; i++) t[i & 255] += t[(i * {n}) & 255] ^ {n}; return t[x & 255]; }}\n"
    for n in range(800)
)


def test_a_stop_waits_for_the_running_job(network: Network, tmp_path: object) -> None:
    with (
        network.worker(environment={"DISTCC_WORKER_DRAIN_SECONDS": "60"}) as worker,
        concurrent.futures.ThreadPoolExecutor(1) as pool,
    ):
        job = pool.submit(compile_on, worker, str(tmp_path), SLOW)
        wait_until("the worker to compile", 20, worker.is_compiling)
        worker.container.stop(timeout=90)
        assert job.result().returncode == 0, job.result().stderr
        worker.container.reload()
        assert worker.container.attrs["State"]["ExitCode"] == 0
        assert b"jobs cut off: 0" in worker.container.logs()


@pytest.fixture
def key(tmp_path: object) -> str:
    path = f"{tmp_path}/key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    return path


@pytest.fixture
def tunnel_only(network: Network, key: str) -> Iterator[Worker]:
    """A worker that takes jobs only through its sshd."""
    with open(f"{key}.pub", encoding="ascii") as file:
        environment = {"DISTCC_WORKER_ALLOW": "loopback", "DISTCC_WORKER_SSH_KEYS": file.read()}
    worker = Worker(network, network.free_address(), environment=environment)
    try:
        worker.start()
        wait_until("sshd to answer", 20, lambda: host_key(worker))
        yield worker
    finally:
        worker.stop()


def host_key(worker: Worker) -> str:
    scan = ["ssh-keyscan", "-t", "ed25519", "-p", "2222", worker.address]
    return subprocess.run(scan, capture_output=True, text=True, check=False).stdout


def ssh(worker: Worker, key: str, *arguments: str, program: str = "ssh") -> list[str]:
    known_hosts = f"{key}.known_hosts"
    with open(known_hosts, "w", encoding="ascii") as file:
        file.write(host_key(worker))
    options = [f"UserKnownHostsFile={known_hosts}", f"IdentityFile={key}", "IdentitiesOnly=yes"]
    options += ["BatchMode=yes", "Port=2222"]
    words = [program, "-F", "none", *(word for option in options for word in ("-o", option))]
    return [*words, *arguments, f"distcc@{worker.address}"]


@contextlib.contextmanager
def tunnel(worker: Worker, key: str, target: str) -> Iterator[int]:
    (port,) = free_ports("127.0.0.1", 1)
    forward = f"127.0.0.1:{port}:{target}"
    process = subprocess.Popen(ssh(worker, key, "-N", "-o", "ExitOnForwardFailure=yes", "-L", forward))
    try:
        yield port
    finally:
        process.terminate()
        process.wait()


def statistics(port: int) -> str:
    """What that port of this machine answers, "" where nothing does."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as reply:
            return str(reply.read().decode())
    except OSError:
        return ""


def test_a_tunnel_reaches_the_statistics_and_the_port_itself_does_not(tunnel_only: Worker, key: str) -> None:
    assert not isinstance(tunnel_only.ask(), Ready)
    with tunnel(tunnel_only, key, "localhost:3633") as port:
        wait_until("statistics through the tunnel", 15, lambda: "dcc_free_mem" in statistics(port))


def test_a_tunnel_reaches_nothing_but_the_two_ports(tunnel_only: Worker, key: str) -> None:
    def is_denied(port: int) -> bool:
        return not statistics(port) and b"request was denied" in tunnel_only.container.logs()

    with tunnel(tunnel_only, key, "localhost:3634") as port:
        wait_until("the refusal", 15, lambda: is_denied(port))


def test_a_compiler_reads_and_replaces_nothing_that_sshd_trusts(network: Network, key: str, tmp_path: Path) -> None:
    with open(f"{key}.pub", encoding="ascii") as file:
        environment = {"DISTCC_WORKER_ALLOW": "attached", "DISTCC_WORKER_SSH_KEYS": file.read()}
    with network.worker(environment=environment) as worker:
        state = "/var/lib/distcc-worker"
        assert "PRIVATE KEY" in worker.run("cat", f"{state}/ssh_host_ed25519_key")
        for file_there in ("ssh_host_ed25519_key", "sshd_config", "authorized_keys"):
            done = compile_on(worker, str(tmp_path), f'__asm__(".incbin \\"{state}/{file_there}\\"");')
            assert done.returncode != 0
        assert compile_on(worker, str(tmp_path)).returncode == 0
        assert b"Landlock" not in worker.container.logs()


@pytest.mark.parametrize(
    ("program", "arguments", "command"),
    [("ssh", (), ("id",)), ("ssh", ("-tt",), ()), ("sftp", (), ())],
)
def test_the_tunnels_account_gives_no_shell(
    tunnel_only: Worker, key: str, program: str, arguments: tuple[str, ...], command: tuple[str, ...]
) -> None:
    words = [*ssh(tunnel_only, key, *arguments, program=program), *command]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode != 0
    assert "uid=" not in done.stdout
    assert b"Accepted publickey" in tunnel_only.container.logs()


def test_no_password_is_taken(tunnel_only: Worker, key: str) -> None:
    words = ssh(tunnel_only, key, "-o", "PubkeyAuthentication=no")
    done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
    assert "Permission denied (publickey)" in done.stderr


def test_host_keys_are_made_at_the_first_start_and_stay(tunnel_only: Worker, network: Network, key: str) -> None:
    first = host_key(tunnel_only)
    tunnel_only.container.restart(timeout=10)
    assert wait_until("sshd to answer again", 20, lambda: host_key(tunnel_only)) == first
    with open(f"{key}.pub", encoding="ascii") as file:
        keys = file.read()
    with network.worker(environment={"DISTCC_WORKER_SSH_KEYS": keys}) as other:
        assert wait_until("sshd to answer", 20, lambda: host_key(other)).split()[2] != first.split()[2]


def test_keys_can_be_mounted(network: Network, key: str) -> None:
    shutil.copy(f"{key}.pub", f"{key}.authorized")
    mounted = {f"{key}.authorized": "/etc/distcc-worker/authorized_keys"}
    with network.worker(mounted=mounted) as worker, tunnel(worker, key, "127.0.0.1:3633") as port:
        wait_until("statistics through the tunnel", 15, lambda: "dcc_free_mem" in statistics(port))


COMPILE_WITH_EACH = """
cd /tmp
echo 'int answer() { return 42; }' >file.c
cp file.c file.cc
for path in /usr/lib/distcc/*; do
    name=${path##*/}
    case $name in *++*) file=file.cc ;; *) file=file.c ;; esac
    DISTCC_HOSTS=127.0.0.1/1,lzo DISTCC_FALLBACK=0 DISTCC_SKIP_LOCAL_RETRY=1 DISTCC_DIR=/tmp \
        distcc "$name" -c "$file" -o file.o
    echo "$name"
done
"""


def test_every_compiler_of_the_row_compiles(network: Network, row: str) -> None:
    combination = combinations()[row]
    with network.worker(combination.tag("distccd")) as worker:
        compiled = set(worker.run("sh", "-ceu", COMPILE_WITH_EACH).split())
    expected = {f"{name}-{version}" for version in combination.gcc for name in ("gcc", "g++")}
    expected |= {f"{name}-{version}" for version in combination.clang for name in ("clang", "clang++")}
    expected |= {"gcc", "g++", "cc", "c++"} if combination.gcc else set()
    expected |= {"clang", "clang++"} if combination.clang else set()
    assert expected <= compiled
