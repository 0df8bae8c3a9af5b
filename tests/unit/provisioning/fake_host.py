"""A host whose answers are written down by the test, for the steps that only put command lines in order."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from provisioning.host_errors import CommandFailed
from provisioning.remote import Output, Remote
from provisioning.steps import Host


class FakeRemote(Remote):
    """Answers a script by the first key of `answers` that it contains; all others succeed and say nothing.

    An answer is an exit status, an output, or a function that makes one.
    """

    def __init__(self, answers: Mapping[str, int | str | Callable[[], str]]) -> None:
        self.name = "worker-1"
        self.answers = dict(answers)
        self.scripts: list[str] = []

    def run(self, phase: str, script: str, timeout_s: float = 0, check: bool = True) -> Output:  # noqa: ARG002
        self.scripts.append(script)
        answer = next((answer for key, answer in self.answers.items() if key in script), 0)
        text = answer() if callable(answer) else answer
        output = Output(text, "", 0) if isinstance(text, str) else Output("", "", text)
        if check and not output.ok:
            raise CommandFailed(phase, script, output.exit_code, "")
        return output


def host(remote: FakeRemote, dry_run: bool = False) -> tuple[Host, list[str]]:
    said: list[str] = []
    return Host(remote, said.append, dry_run), said
