"""The driver: ask the workers, plan, and run the build under the plan."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from distcc_auto import settings
from distcc_auto.build import process as build
from distcc_auto.build.command import PlacedCommand, place_jobs
from distcc_auto.hosts import BridgedHost, GrpcHost, SshHost, TcpHost
from distcc_auto.plan import Plan, WorkerSlots, make_plan, rank, worker_slots
from distcc_auto.probe import Answer, Ready, Refused, probe
from distcc_common import limits, messages
from distcc_common.errors import CommandError, ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from distcc_auto.reach.grpc import Bridge
    from distcc_auto.reach.ssh.tunnels import Tunnels

_OWN_PREFIXES = (settings.PREFIX, "DCCSH_")
# distcc takes a worker that has not answered for 300 s for dead, whatever it compiles. The bridge notices within 15 s
# that one is dead, so its jobs may take as long as the bridge itself lets them (compile-timeout's default).
_BRIDGED_IO_TIMEOUT_S = 4 * 3600


@dataclass(frozen=True)
class Options:
    """What the user asked for in front of the build command."""

    dry_run: bool = False
    explain: bool = False
    json: bool = False
    report: bool = False
    launcher: bool = False


@dataclass(frozen=True)
class Survey:
    """Every host once: those that take jobs, in the order of the plan, and those that do not."""

    workers: tuple[WorkerSlots, ...]
    refused: tuple[Refused, ...]


@dataclass(frozen=True)
class Environment:
    """How the build's environment differs from ours."""

    changes: Mapping[str, str]
    removed: tuple[str, ...]

    def apply(self, environ: Mapping[str, str]) -> dict[str, str]:
        return {key: value for key, value in environ.items() if key not in self.removed} | dict(self.changes)


@dataclass(frozen=True)
class Ways:
    """How hosts are reached that are no distccd on the network; None where there is no such host."""

    tunnels: Tunnels | None
    bridge: Bridge | None

    @property
    def pids(self) -> tuple[int, ...]:
        """Our processes that must outlive the build's."""
        pids = (self.tunnels and self.tunnels.keeper_pid, self.bridge and self.bridge.pid)
        return tuple(pid for pid in pids if pid)


@contextlib.contextmanager
def opened_ways(configured: settings.Settings, environ: Mapping[str, str]) -> Iterator[Ways]:
    """The tunnels to the ssh:// hosts and the bridge to the grpc:// hosts, up until the block ends."""
    ssh_hosts = [host for host in configured.hosts if isinstance(host, SshHost)]
    grpc_hosts = [host for host in configured.hosts if isinstance(host, GrpcHost)]
    tunnels = bridge = None
    with contextlib.ExitStack() as stack:
        if grpc_hosts:
            from distcc_auto.reach.grpc import open_bridge  # noqa: PLC0415  (only for those who have grpc:// hosts)

            messages.trace(f"connecting to {len(grpc_hosts)} grpc:// hosts")
            bridge = stack.enter_context(open_bridge(grpc_hosts, environ, configured.connect_timeout_s))
        if ssh_hosts:
            from distcc_auto.reach.ssh.keeper import Limits  # noqa: PLC0415
            from distcc_auto.reach.ssh.tunnels import open_tunnels  # noqa: PLC0415  (only for those who have ssh:// hosts)

            messages.trace(f"opening {len(ssh_hosts)} SSH tunnels")
            tunnels = stack.enter_context(open_tunnels(ssh_hosts, environ, Limits(configured.tunnel_timeout_s)))
        yield Ways(tunnels, bridge)


def take_survey(configured: settings.Settings, ways: Ways) -> Survey:
    """Asks all configured hosts what they can take, each by its way."""
    workers, refused = [], []
    for answer in _ask(configured, ways):
        outcome: WorkerSlots | Refused
        if isinstance(answer, Ready):
            messages.trace(f"{answer.host.text}: {answer.stats} in {answer.latency_s * 1000:.1f} ms")
            outcome = worker_slots(answer, configured.compiler_memory_mib)
        else:
            outcome = answer
        if isinstance(outcome, WorkerSlots):
            workers.append(outcome)
        else:
            refused.append(outcome)
    return Survey(rank(workers), tuple(refused))


def _ask(configured: settings.Settings, ways: Ways) -> list[Answer]:
    timeouts_s = configured.connect_timeout_s, configured.answer_timeout_s
    places = [ways.bridge.place(h) if ways.bridge and isinstance(h, GrpcHost) else h for h in configured.hosts]
    asked = [place for place in places if not isinstance(place, Refused)]
    if ways.tunnels is not None:
        answers = iter(ways.tunnels.probe(asked, *timeouts_s))
    else:
        answers = iter(probe([host for host in asked if isinstance(host, TcpHost)], *timeouts_s))
    return [place if isinstance(place, Refused) else next(answers) for place in places]


def drive(command: Sequence[str], options: Options, environ: Mapping[str, str]) -> int:
    """Runs `command` across the workers and returns its exit status; with --explain or --dry-run only tells.

    Raises DistccAutoError when there is nothing that could be run.
    """
    is_run = not (options.explain or options.dry_run)
    if not command and (is_run or options.dry_run):
        raise ConfigurationError("no build command; for example: distcc-auto make (distcc-auto --help tells more)")
    if options.json and is_run:
        raise ConfigurationError("--json goes with --explain, --dry-run or the sub-command hosts")
    if options.report and not is_run:
        raise ConfigurationError("--report tells about a build, --explain and --dry-run do not build")
    if options.report and options.launcher:
        raise ConfigurationError("--report counts the jobs of distcc, which a build with --launcher does not use")
    configured = settings.load(environ)
    _check_tools(command, environ, "distplusplus" if options.launcher else "distcc")
    with opened_ways(configured, environ) as ways:
        return _drive(command, options, environ, configured, ways)


def _drive(
    command: Sequence[str],
    options: Options,
    environ: Mapping[str, str],
    configured: settings.Settings,
    ways: Ways,
) -> int:
    messages.trace(f"asking {len(configured.hosts)} hosts")
    survey = take_survey(configured, ways)
    if options.launcher:
        survey = _only_grpc(survey)
    for line in _refusals(survey.refused):
        messages.say(line)
    plan = make_plan(survey.workers, configured, limits.memory())
    placed = place_jobs(command, plan.jobs, environ) if command else None
    make_environment = launcher_environment if options.launcher else build_environment
    changes = make_environment(plan, placed, environ)
    if options.explain or options.dry_run or placed is None:
        from distcc_auto.show import explain  # noqa: PLC0415  (a build does not need it)

        explain.show(survey, plan, placed, changes, options)
        return 0
    status = _run_build(plan, placed, changes.apply(environ), ways.pids)
    if options.report:
        from distcc_auto.show import report  # noqa: PLC0415  (only for those who ask)

        for line in report.what_ran_where(plan, configured):
            messages.say(line)
    return status


def _refusals(refused: Sequence[Refused]) -> Iterator[str]:
    """One line for each reason; many hosts share one where something is missing here."""
    reasons: dict[tuple[str, str, str], list[Refused]] = {}
    for entry in refused:
        reasons.setdefault((entry.phase, entry.cause, entry.remedy), []).append(entry)
    for (phase, cause, remedy), entries in reasons.items():
        names = ", ".join(entry.host.text for entry in entries)
        yield f"{names}: {phase}: {cause} ({remedy}); building without {'it' if len(entries) == 1 else 'them'}"


def _run_build(plan: Plan, placed: PlacedCommand, environ: Mapping[str, str], spared: Sequence[int]) -> int:
    if placed.note:
        messages.say(placed.note)
    messages.say(_summary(plan, placed))
    messages.trace(f"DISTCC_HOSTS={plan.distcc_hosts}")
    status = build.run(placed.argv, environ, spared)
    messages.trace(f"the build ended with status {status}")
    return status


def _summary(plan: Plan, placed: PlacedCommand) -> str:
    command = shlex.join(placed.argv)
    if not plan.workers:
        return f"no worker can be used, building with {plan.local_jobs} local jobs: {command}"
    workers = "1 worker" if len(plan.workers) == 1 else f"{len(plan.workers)} workers"
    slots = "1 slot" if plan.remote_slots == 1 else f"{plan.remote_slots} slots"
    return f"{workers} with {slots}: {command}"


def _only_grpc(survey: Survey) -> Survey:
    """The workers that distplusplus can use by itself."""
    usable, others = [], []
    for entry in survey.workers:
        if isinstance(entry.worker.host, BridgedHost):
            usable.append(entry)
        else:
            others.append(Refused(entry.worker.host, "launcher", "is no grpc:// host", "build without --launcher"))
    return Survey(tuple(usable), (*survey.refused, *others))


def _check_tools(command: Sequence[str], environ: Mapping[str, str], client: str) -> None:
    try:
        build.find_command(client, environ)
    except CommandError:
        how = "apt-get install distcc" if client == "distcc" else "pip install 'distcc-auto[distplusplus]'"
        raise ConfigurationError(
            f"the {client} client is not in PATH; install it ({how}) or add its directory to PATH"
        ) from None
    if command:
        build.find_command(command[0], environ)


def build_environment(plan: Plan, placed: PlacedCommand | None, environ: Mapping[str, str]) -> Environment:
    """What the build gets besides the user's environment, and which of our own variables it does not get."""
    if environ.get("DISTCC_HOSTS"):
        messages.say("DISTCC_HOSTS is set and ignored: the hosts come from DISTCC_AUTO_HOSTS")
    if environ.get("CCACHE_PREFIX", "distcc") != "distcc":
        messages.say(f"CCACHE_PREFIX={environ['CCACHE_PREFIX']} is replaced by distcc")
    changes = {"DISTCC_HOSTS": plan.distcc_hosts, "CCACHE_PREFIX": "distcc"}
    if not environ.get("DISTCC_PAUSE_TIME_MSEC"):
        changes["DISTCC_PAUSE_TIME_MSEC"] = str(plan.pause_time_ms)
    if not environ.get("DISTCC_IO_TIMEOUT") and _are_all_bridged(plan):
        changes["DISTCC_IO_TIMEOUT"] = str(_BRIDGED_IO_TIMEOUT_S)
    return _environment(changes, placed, environ)


def _are_all_bridged(plan: Plan) -> bool:
    return bool(plan.workers) and all(isinstance(entry.worker.host, BridgedHost) for entry in plan.workers)


def launcher_environment(plan: Plan, placed: PlacedCommand | None, environ: Mapping[str, str]) -> Environment:
    """As build_environment, for a build whose compilers are called through distplusplus."""
    hosts = [entry.worker.host for entry in plan.workers]
    changes = {
        "DISTPLUSPLUS_SERVERS": " ".join(host.origin.text for host in hosts if isinstance(host, BridgedHost)),
        "CCACHE_PREFIX": "distplusplus",
        # Read by CMake when it configures a tree, as for a first build.
        "CMAKE_C_COMPILER_LAUNCHER": "distplusplus",
        "CMAKE_CXX_COMPILER_LAUNCHER": "distplusplus",
    }
    return _environment(changes, placed, environ)


def _environment(changes: dict[str, str], placed: PlacedCommand | None, environ: Mapping[str, str]) -> Environment:
    if placed:
        changes |= placed.environment
    return Environment(changes, tuple(sorted(key for key in environ if key.startswith(_OWN_PREFIXES))))
