"""What SSH tunnels cost: time until all are up, and bytes per second and CPU through one, against bare ssh and TCP.

Set-up is from exec of `distcc-auto` to exec of the command, for hosts that all log in to one real sshd on this machine
with a key; the peer is as many bare ssh logins, all at once. CPU is that of both sides, client and sshd. Where the
machine's CPUs are busy nearly all the time, logins cannot overlap any further, and the row says so. Needs root.
"""

from __future__ import annotations

import argparse
import functools
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from distcc_auto.demo.loopback import LoopbackWorker
from distcc_auto.hosts import SshHost, TcpHost
from distcc_auto.reach.ssh.keeper import TunnelTimes
from distcc_auto.reach.ssh.tunnels import open_tunnels
from tests.integration.tunnels.lab import DISTCC_AUTO, Lab, Sshd

_BLOCK = bytes(64 * 1024)
_CPU_LIMITED = 0.8
_MIB = 1 << 20


@dataclass(frozen=True)
class Cost:
    wall_s: float
    cpu_s: float


@dataclass(frozen=True)
class SetUp:
    """`busy` is the share of all CPUs that anything on this machine used meanwhile."""

    cost: Cost
    busy: float


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.tunnels", description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="runs of each set-up, of which the median is shown")
    parser.add_argument("--mib", type=int, default=256, help="MiB sent through a tunnel and through plain TCP")
    options = parser.parse_args()
    if os.getuid():
        sys.exit("bench.tunnels needs root: its sshd runs in a mount namespace with a user of its own")
    with tempfile.TemporaryDirectory(prefix="distcc-auto-bench-") as directory:
        lab = Lab(Path(directory))
        with Sshd(lab) as server, LoopbackWorker(2) as worker:
            measure_set_up(lab, server, worker, options.runs)
            measure_transfer(lab, server, options.mib)


def measure_set_up(lab: Lab, server: Sshd, worker: LoopbackWorker, runs: int) -> None:
    print(f"{'set-up':14}{'who':14}{'wall ms':>9}{'x of 1':>8}{'x of bare':>11}{'cpu ms':>9}{'cpus busy':>11}  reach")
    aliases = [lab.host(f"w{number}", server) for number in range(32)]
    first: dict[str, SetUp] = {}
    for count in (1, 8, 32):
        environ = lab.environ(
            " ".join(f"ssh://{alias}/{worker.distcc_port}/{worker.stats_port}" for alias in aliases[:count])
        )
        who: dict[str, Callable[[], None]] = {
            "bare ssh": functools.partial(log_in, aliases[:count], environ, worker.stats_port),
            "distcc-auto": functools.partial(build_nothing, environ),
        }
        runs_of: dict[str, list[SetUp]] = {name: [] for name in who}
        for _ in range(runs):
            for name, run in who.items():
                runs_of[name].append(measure(run, server))
        taken = {name: median(set_ups) for name, set_ups in runs_of.items()}
        for name, set_up in taken.items():
            wall_s = set_up.cost.wall_s
            base_s = first.setdefault(name, set_up).cost.wall_s
            remarks = ["3 x of 1" if name == "distcc-auto" and count == 8 else ""]
            remarks += ["the CPU is the limit" if set_up.busy >= _CPU_LIMITED else ""]
            print(
                f"{f'{count} ssh hosts':14}{name:14}{wall_s * 1000:9.0f}{wall_s / base_s:8.2f}"
                f"{wall_s / taken['bare ssh'].cost.wall_s:11.2f}{set_up.cost.cpu_s * 1000:9.0f}{set_up.busy:11.0%}"
                f"  {'; '.join(filter(None, remarks))}".rstrip(),
                flush=True,
            )


def median(taken: Sequence[SetUp]) -> SetUp:
    """The one in the middle, by wall time."""
    return sorted(taken, key=lambda set_up: set_up.cost.wall_s)[len(taken) // 2]


def log_in(aliases: Sequence[str], environ: dict[str, str], port: int) -> None:
    """Logs in to all at once, has sshd reach a port there, and logs out."""
    clients = [
        subprocess.Popen(
            ["ssh", "-W", f"localhost:{port}", alias],
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        for alias in aliases
    ]
    for client in clients:
        assert client.wait() == 0


def build_nothing(environ: dict[str, str]) -> None:
    subprocess.run([DISTCC_AUTO, "true"], env=environ, stderr=subprocess.DEVNULL, check=True)


def measure(run: Callable[[], None], server: Sshd) -> SetUp:
    children_s, server_s = own_children_cpu_s(), server.cpu_s()
    psutil.cpu_times_percent()
    started_s = time.perf_counter()
    run()
    wall_s = time.perf_counter() - started_s
    busy = 1 - psutil.cpu_times_percent().idle / 100
    server.wait_for_logouts()
    return SetUp(Cost(wall_s, own_children_cpu_s() - children_s + server.cpu_s() - server_s), busy)


def own_children_cpu_s() -> float:
    times = os.times()
    return times.children_user + times.children_system


def measure_transfer(lab: Lab, server: Sshd, mib: int) -> None:
    print(f"\n{'transfer':14}{'who':14}{'MiB/s':>9}{'x of TCP':>10}{'cpu ms per 100 MiB':>20}{'x of TCP':>10}")
    sink, port = start_sink()
    try:
        plain = transfer(("127.0.0.1", port), mib, [sink])
        host = SshHost(lab.host("transfer", server), distcc_port=port, stats_port=port, text="transfer")
        with open_tunnels([host], lab.environ(""), TunnelTimes(15)) as tunnels:
            place = tunnels.place(host)
            assert isinstance(place, TcpHost), place
            (keeper,) = tunnels.pids
            pids = [sink, *below(keeper), *below(server.pid)]
            tunnelled = transfer((place.hostname, place.distcc_port), mib, pids)
    finally:
        psutil.Process(sink).kill()
        os.waitpid(sink, 0)
    for name, cost in (("plain TCP", plain), ("SSH tunnel", tunnelled)):
        print(
            f"{f'{mib} MiB':14}{name:14}{mib / cost.wall_s:9.0f}{plain.wall_s / cost.wall_s:10.2f}"
            f"{cost.cpu_s * 1000 * 100 / mib:20.0f}{cost.cpu_s / plain.cpu_s:10.2f}"
        )


def start_sink() -> tuple[int, int]:
    """A process that reads what it is sent and says when it has read all of it; its pid and port."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    pid = os.fork()
    if pid:
        listener.close()
        return pid, port
    while True:
        connection, _ = listener.accept()
        with connection:
            while connection.recv(len(_BLOCK)):
                pass
            connection.sendall(b"x")


def transfer(address: tuple[str, int], mib: int, pids: Sequence[int]) -> Cost:
    before_s = time.process_time() + sum(cpu_s(pid) for pid in pids)
    started_s = time.perf_counter()
    with socket.create_connection(address) as connection:
        for _ in range(mib * _MIB // len(_BLOCK)):
            connection.sendall(_BLOCK)
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b"x"
    wall_s = time.perf_counter() - started_s
    return Cost(wall_s, time.process_time() + sum(cpu_s(pid) for pid in pids) - before_s)


def below(pid: int) -> list[int]:
    return [process.pid for process in psutil.Process(pid).children(recursive=True)]


def cpu_s(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


if __name__ == "__main__":
    main()
