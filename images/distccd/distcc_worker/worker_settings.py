"""The worker's environment variables, checked, as one value."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from distcc_common import limits

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

JOB_PORT = 3632
STATS_PORT = 3633
DISTCCD_STATS_PORT = 3634
SSH_PORT = 2222

LOOPBACK: tuple[Network, ...] = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))
LOG_LEVELS = ("critical", "error", "warning", "notice", "info", "debug")


class WorkerSettingsError(Exception):
    """Raised when a variable is missing or malformed; the message names it."""


@dataclass(frozen=True)
class WorkerSettings:
    """`allow` always contains the loopback networks: health check, tunnels and statistics use them.

    With `forward_to` ("host:port") this is a gateway: only sshd runs, and forwards only to that address.
    """

    allow: tuple[Network, ...]
    jobs: int
    jobs_reason: str
    ssh_keys: str
    forward_to: str | None
    drain_s: float
    log_level: str


def read(
    env: Mapping[str, str],
    own_networks: Callable[[], Iterable[Network]],
    mounted_keys: str = "",
    root: str = "/",
) -> WorkerSettings:
    """The settings in `env`. "attached" stands for `own_networks`; `root` replaces / as in `limits`.

    Raises WorkerSettingsError.
    """
    forward_to = env.get("DISTCC_WORKER_FORWARD_TO") or None
    if forward_to is not None:
        _check_address(forward_to)
    keys = "\n".join(text for text in (mounted_keys.strip(), env.get("DISTCC_WORKER_SSH_KEYS", "").strip()) if text)
    if forward_to and not keys:
        raise WorkerSettingsError(
            "DISTCC_WORKER_FORWARD_TO makes this a gateway, but nobody may log in: give public keys in "
            "DISTCC_WORKER_SSH_KEYS or mount them at /etc/distcc-worker/authorized_keys"
        )
    level = env.get("DISTCC_WORKER_LOG_LEVEL") or "notice"
    if level not in LOG_LEVELS:
        raise WorkerSettingsError(f"DISTCC_WORKER_LOG_LEVEL={level}: must be one of {', '.join(LOG_LEVELS)}")
    jobs, reason = _jobs(env, root)
    return WorkerSettings(
        allow=LOOPBACK if forward_to else (*LOOPBACK, *_allow(env.get("DISTCC_WORKER_ALLOW", ""), own_networks)),
        jobs=jobs,
        jobs_reason=reason,
        ssh_keys=keys,
        forward_to=forward_to,
        drain_s=float(_number(env, "DISTCC_WORKER_DRAIN_SECONDS", 8)),
        log_level=level,
    )


def _allow(text: str, own_networks: Callable[[], Iterable[Network]]) -> list[Network]:
    if not text.split():
        raise WorkerSettingsError(
            "DISTCC_WORKER_ALLOW is not set: name the clients that may compile here, as addresses or "
            'networks (192.0.2.7 198.51.100.0/24), "attached" for the networks this container is in, '
            'or "loopback" for tunnels only'
        )
    networks: list[Network] = []
    for word in text.split():
        if word == "attached":
            networks.extend(own_networks())
        elif word != "loopback":
            try:
                if "%" in word:
                    raise ValueError(f"'{word}' has a zone (%), which a list of clients cannot have")
                networks.append(ipaddress.ip_network(word))
            except ValueError as error:
                raise WorkerSettingsError(f"DISTCC_WORKER_ALLOW: {error}") from None
    return list(dict.fromkeys(networks))


def _jobs(env: Mapping[str, str], root: str) -> tuple[int, str]:
    """distccd's --jobs and the reason: the CPUs that the container may use, limited by its memory."""
    asked = _number(env, "DISTCC_WORKER_JOBS", 0)
    if asked:
        return asked, "DISTCC_WORKER_JOBS"
    cpu = limits.cpus(root)
    job_memory_mib = _number(env, "DISTCC_WORKER_JOB_MEMORY", 512)
    limit_mib = limits.memory_limit_mib(root)
    if limit_mib is not None and job_memory_mib and limit_mib // job_memory_mib < cpu.cpus:
        return max(limit_mib // job_memory_mib, 1), f"memory limit {limit_mib} MiB, {job_memory_mib} MiB per job"
    return cpu.cpus, cpu.reason


def _number(env: Mapping[str, str], name: str, default: int) -> int:
    text = env.get(name, "").strip()
    if not text:
        return default
    if not (text.isascii() and text.isdigit()):
        raise WorkerSettingsError(f"{name}={text}: must be a whole number, 0 or more")
    return int(text)


def _check_address(text: str) -> None:
    host, _, port = text.rpartition(":")
    # The text goes into sshd_config, where white space or a pattern would permit further addresses.
    plain = host.replace("-", "").replace(".", "").replace("_", "")
    if not (plain.isascii() and plain.isalnum() and port.isascii() and port.isdigit()):
        raise WorkerSettingsError(f"DISTCC_WORKER_FORWARD_TO={text}: must be HOST:PORT")
