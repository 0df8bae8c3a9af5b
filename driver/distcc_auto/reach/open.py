"""Opens every way of reaching hosts that the configured hosts need: the one place that knows the kinds of host."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence

from distcc_auto.hosts import GrpcHost, HostSpec, SshHost, TcpHost
from distcc_common import messages

TYPE_CHECKING = False
if TYPE_CHECKING:
    from distcc_auto.answers import Answer, Refused
    from distcc_auto.reach.protocol import Judge, Reach
    from distcc_auto.settings import DriverSettings


class Opened:
    """All ways together; a host that needs none of them is its own address. A `Reach` itself."""

    def __init__(self, ways: Mapping[type[HostSpec], Reach]) -> None:
        self._ways = ways

    @property
    def pids(self) -> tuple[int, ...]:
        return tuple(pid for way in self._ways.values() for pid in way.pids)

    def place(self, host: HostSpec) -> TcpHost | Refused:
        return host if isinstance(host, TcpHost) else self._ways[type(host)].place(host)

    @contextlib.contextmanager
    def watch(self, places: Sequence[TcpHost]) -> Iterator[Judge]:
        with contextlib.ExitStack() as stack:
            judges = [stack.enter_context(way.watch(places)) for way in self._ways.values()]

            def judge(answers: list[Answer]) -> list[Answer]:
                for each in judges:
                    answers = each(answers)
                return answers

            yield judge


@contextlib.contextmanager
def open_reach(configured: DriverSettings, environ: Mapping[str, str]) -> Iterator[Reach]:
    """Tunnels to the ssh:// hosts and a bridge to the grpc:// hosts, up until the block ends.

    Raises ConfigurationError when every host needs an extra that is not installed.
    """
    ssh_hosts = [host for host in configured.hosts if isinstance(host, SshHost)]
    grpc_hosts = [host for host in configured.hosts if isinstance(host, GrpcHost)]
    ways: dict[type[HostSpec], Reach] = {}
    with contextlib.ExitStack() as stack:
        if grpc_hosts:
            from distcc_auto.reach import grpc  # noqa: PLC0415  (only for those who have grpc:// hosts)

            messages.trace(f"connecting to {len(grpc_hosts)} grpc:// hosts")
            is_all = len(grpc_hosts) == len(configured.hosts)
            ways[GrpcHost] = stack.enter_context(
                grpc.open_bridge(grpc_hosts, environ, configured.connect_timeout_s, is_all=is_all)
            )
        if ssh_hosts:
            from distcc_auto.reach.ssh import keeper, tunnels  # noqa: PLC0415  (only for those who have ssh:// hosts)

            messages.trace(f"opening {len(ssh_hosts)} SSH tunnels")
            times = keeper.TunnelTimes(configured.tunnel_timeout_s)
            ways[SshHost] = stack.enter_context(tunnels.open_tunnels(ssh_hosts, environ, times))
        yield Opened(ways)
