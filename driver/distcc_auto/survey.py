"""The survey: every configured host asked once, each of them with slots or refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from distcc_auto.answers import Answer, Phase, Ready, Refused
from distcc_auto.plan import WorkerSlots, rank, worker_slots
from distcc_auto.probe import probe
from distcc_common import messages

TYPE_CHECKING = False
if TYPE_CHECKING:
    from distcc_auto.reach.protocol import Reach
    from distcc_auto.settings import DriverSettings


@dataclass(frozen=True)
class Survey:
    """Every host once: those that take jobs, in the order of the plan, and those that do not."""

    workers: tuple[WorkerSlots, ...]
    refused: tuple[Refused, ...]

    def for_launcher(self) -> Survey:
        """The same hosts, of which only those take jobs that distplusplus can use by itself."""
        usable = tuple(entry for entry in self.workers if entry.worker.host.launcher_server is not None)
        others = tuple(
            Refused(entry.worker.host, Phase.LAUNCHER, "is no grpc:// host", "build without --launcher")
            for entry in self.workers
            if entry not in usable
        )
        return Survey(usable, self.refused + others)

    def refusals(self) -> Iterator[str]:
        """One line for each reason; many hosts share one where something is missing on this machine."""
        reasons: dict[tuple[str, str, str], list[Refused]] = {}
        for entry in self.refused:
            reasons.setdefault((entry.phase, entry.cause, entry.remedy), []).append(entry)
        for (phase, cause, remedy), entries in reasons.items():
            names = ", ".join(entry.host.text for entry in entries)
            yield f"{names}: {phase}: {cause} ({remedy}); building without {'it' if len(entries) == 1 else 'them'}"


def take_survey(configured: DriverSettings, reach: Reach) -> Survey:
    """Asks all configured hosts what they can take."""
    workers, refused = [], []
    for answer in _ask(configured, reach):
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


def _ask(configured: DriverSettings, reach: Reach) -> list[Answer]:
    places = [reach.place(host) for host in configured.hosts]
    asked = [place for place in places if not isinstance(place, Refused)]
    with reach.watch(asked) as judge:
        judged = iter(judge(probe(asked, configured.connect_timeout_s, configured.answer_timeout_s)))
    return [place if isinstance(place, Refused) else next(judged) for place in places]
