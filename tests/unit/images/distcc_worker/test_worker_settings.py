from __future__ import annotations

import ipaddress
import os

import pytest

from distcc_worker.worker_settings import LOOPBACK, WorkerSettings, WorkerSettingsError, read


def lay_out_v2(root: str, cpu_max: str = "max 100000", memory_max: str = "max") -> str:
    """A machine whose own cgroup (v2) has these limits."""
    files = {
        "proc/self/cgroup": "0::/\n",
        "proc/self/mountinfo": "1 0 0:1 / /sys/fs/cgroup rw - cgroup2 cgroup rw\n",
        "proc/meminfo": "MemAvailable: 64000000 kB\n",
        "sys/fs/cgroup/cpu.max": cpu_max,
        "sys/fs/cgroup/memory.max": memory_max,
    }
    for path, text in files.items():
        full = os.path.join(root, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w", encoding="ascii") as file:
            file.write(text)
    return root


def settings(tmp_path: object, keys: str = "", **env: str) -> WorkerSettings:
    root = lay_out_v2(str(tmp_path))
    attached = [ipaddress.ip_network("172.30.0.0/16")]
    return read({f"DISTCC_WORKER_{name}": value for name, value in env.items()}, lambda: attached, keys, root)


@pytest.mark.parametrize(
    ("text", "networks"),
    [
        ("192.0.2.7", ["192.0.2.7/32"]),
        ("198.51.100.0/24 2001:db8::/32", ["198.51.100.0/24", "2001:db8::/32"]),
        ("attached", ["172.30.0.0/16"]),
        ("attached\n 172.30.0.0/16", ["172.30.0.0/16"]),
        ("loopback", []),
    ],
)
def test_the_allow_list_holds_loopback_and_what_was_named(tmp_path: object, text: str, networks: list[str]) -> None:
    expected = (*LOOPBACK, *(ipaddress.ip_network(network) for network in networks))
    assert settings(tmp_path, ALLOW=text).allow == expected


@pytest.mark.parametrize(
    ("env", "named"),
    [
        ({}, "DISTCC_WORKER_ALLOW is not set"),
        ({"ALLOW": "  "}, "DISTCC_WORKER_ALLOW is not set"),
        ({"ALLOW": "everyone"}, "everyone"),
        ({"ALLOW": "10.0.0.1/8"}, "10.0.0.1/8"),
        ({"ALLOW": "attached", "JOBS": "many"}, "DISTCC_WORKER_JOBS=many"),
        ({"ALLOW": "attached", "JOBS": "-2"}, "DISTCC_WORKER_JOBS=-2"),
        ({"ALLOW": "attached", "LOG_LEVEL": "loud"}, "DISTCC_WORKER_LOG_LEVEL=loud"),
        ({"FORWARD_TO": "worker-4:2222"}, "nobody may log in"),
        ({"FORWARD_TO": "worker-4", "SSH_KEYS": "ssh-ed25519 AAAA"}, "HOST:PORT"),
        ({"FORWARD_TO": "*:2222", "SSH_KEYS": "ssh-ed25519 AAAA"}, "HOST:PORT"),
        ({"FORWARD_TO": "a:1 b:2", "SSH_KEYS": "ssh-ed25519 AAAA"}, "HOST:PORT"),
    ],
)
def test_a_bad_variable_is_named(tmp_path: object, env: dict[str, str], named: str) -> None:
    with pytest.raises(WorkerSettingsError) as error:
        settings(tmp_path, **env)
    assert named in str(error.value)


@pytest.mark.parametrize(
    ("limits", "env", "jobs"),
    [
        ({"cpu_max": "100000 100000"}, {}, 1),
        ({"cpu_max": "150000 100000"}, {}, 2),
        ({"memory_max": str(1024 << 20)}, {}, 2),
        ({"memory_max": str(100 << 20)}, {}, 1),
        ({"memory_max": str(1024 << 20)}, {"JOB_MEMORY": "1024"}, 1),
        ({"memory_max": str(600 << 20)}, {"JOB_MEMORY": "0"}, 4),
        ({"cpu_max": "100000 100000"}, {"JOBS": "7"}, 7),
    ],
)
def test_jobs_follow_the_containers_limits(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch, limits: dict[str, str], env: dict[str, str], jobs: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(4)))
    root = lay_out_v2(str(tmp_path), **limits)
    variables = {"DISTCC_WORKER_ALLOW": "loopback"} | {f"DISTCC_WORKER_{name}": env[name] for name in env}
    assert read(variables, list, root=root).jobs == jobs


def test_keys_are_mounted_or_given_or_both(tmp_path: object) -> None:
    assert settings(tmp_path, ALLOW="loopback").ssh_keys == ""
    assert settings(tmp_path, keys="mounted\n", ALLOW="loopback", SSH_KEYS="given").ssh_keys == "mounted\ngiven"


def test_a_gateway_needs_no_allow_list(tmp_path: object) -> None:
    gateway = settings(tmp_path, FORWARD_TO="worker-4:2222", SSH_KEYS="ssh-ed25519 AAAA")
    assert gateway.forward_to == "worker-4:2222"
    assert gateway.allow == LOOPBACK
