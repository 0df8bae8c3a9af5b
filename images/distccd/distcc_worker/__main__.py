"""`python3 -m distcc_worker` runs the worker; `python3 -m distcc_worker health` checks the running one."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import psutil

from distcc_worker.stats_front import STATS_END
from distcc_worker.supervisor import supervise
from distcc_worker.worker_settings import SSH_PORT, STATS_PORT, Network, WorkerSettings, WorkerSettingsError, read

STATE_DIR = "/var/lib/distcc-worker"
MOUNTED_KEYS = "/etc/distcc-worker/authorized_keys"
HEALTH_S = 2.0


def main() -> int:
    if sys.argv[1:] == ["health"]:
        return health()
    logging.basicConfig(level=logging.INFO, format="distcc-worker: %(message)s")
    if os.getuid() == 0:
        logging.error("refusing to run as root: compilers run what clients send (start without --user root)")
        return 96
    try:
        settings = _settings()
        return asyncio.run(supervise(settings, STATE_DIR))
    except WorkerSettingsError as error:
        logging.error("%s", error)
        return 96
    except OSError as error:
        logging.error("%s (is %s writable, and are the ports free?)", error, STATE_DIR)
        return 1
    except subprocess.CalledProcessError as error:
        logging.error("%s", error)
        return 1


def health() -> int:
    """0 when sshd listens (a gateway) or distccd's statistics answer within HEALTH_S; otherwise prints why not."""
    problem = _sshd_problem() if os.environ.get("DISTCC_WORKER_FORWARD_TO") else _stats_problem()
    if problem:
        print(problem)
    return 1 if problem else 0


def _sshd_problem() -> str:
    # Not by connecting: sshd would log every connection that says nothing.
    sockets = psutil.net_connections("tcp")
    listening = {c.laddr.port for c in sockets if c.laddr and c.status == psutil.CONN_LISTEN}
    return "" if SSH_PORT in listening else f"no sshd listens on port {SSH_PORT}"


def _stats_problem() -> str:
    answer = b""
    try:
        with socket.create_connection(("127.0.0.1", STATS_PORT), HEALTH_S) as connection:
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            while STATS_END not in answer and (piece := connection.recv(1 << 16)):
                answer += piece
    except OSError as error:
        return f"statistics port {STATS_PORT}: {error}"
    if STATS_END in answer:
        return ""
    return f"statistics port {STATS_PORT}: {answer.decode(errors='replace').strip() or 'no answer'}"


def _settings() -> WorkerSettings:
    try:
        with open(MOUNTED_KEYS, encoding="utf-8") as file:
            mounted = file.read()
    except FileNotFoundError:
        mounted = ""
    return read(os.environ, _own_networks, mounted)


def _own_networks() -> Iterator[Network]:
    """The networks of this container's interfaces, without loopback."""
    for addresses in psutil.net_if_addrs().values():
        for address in addresses:
            if address.family in (socket.AF_INET, socket.AF_INET6) and address.netmask:
                host = address.address.partition("%")[0]
                mask = address.netmask
                if address.family == socket.AF_INET6:
                    mask = str(bin(int(ipaddress.IPv6Address(mask))).count("1"))
                interface = ipaddress.ip_interface(f"{host}/{mask}")
                if not interface.is_loopback:
                    yield interface.network


if __name__ == "__main__":
    sys.exit(main())
