"""Changes to one host. Each step looks first: a second run has nothing to do, and a dry run only looks."""

from __future__ import annotations

import base64
import shlex
from collections.abc import Callable
from dataclasses import dataclass, field

from provisioning import record
from provisioning.record import Record
from provisioning.remote import QUICK_S, Output, Remote


@dataclass
class Host:
    """One host during a task, with the changes that were made or would be made, and the warnings."""

    remote: Remote
    say: Callable[[str], None]
    dry_run: bool = False
    changes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def ask(self, phase: str, script: str, timeout_s: float = QUICK_S) -> Output:
        """Runs a script that changes nothing; any exit status will do. Raises CommandFailed when it takes too long."""
        return self.remote.run(phase, script, timeout_s, check=False)

    def change(self, what: str, script: str, timeout_s: float = QUICK_S) -> None:
        """Runs `script`; a dry run only says so. Raises CommandFailed."""
        self.changes.append(what)
        if self.dry_run:
            self.say(f"would change: {what}")
            return
        self.remote.run(what, script, timeout_s)
        self.say(f"changed: {what}")

    def warn(self, text: str) -> None:
        self.warnings.append(text)
        self.say(f"warning: {text}")

    def ensure(self, what: str, check: str, script: str, timeout_s: float = QUICK_S) -> bool:
        """Runs `script` unless `check` succeeds. Returns whether there was anything to do."""
        if self.ask(what, check).ok:
            return False
        self.change(what, script, timeout_s)
        return True

    def has_file(self, path: str, text: str) -> bool:
        """Whether `path` holds `text` and belongs to root."""
        return self.ask(path, _has_file(path, text)).ok

    def ensure_file(self, path: str, text: str, then: str = ":") -> bool:
        """Makes `path` hold `text`, owned by root, and runs `then`. Returns whether there was anything to do.

        No reader ever sees a half-written file.
        """
        quoted, fresh = shlex.quote(path), shlex.quote(f"{path}.new")
        script = (
            f'mkdir -p "$(dirname {quoted})" && '
            f"echo {_encoded(text)} | base64 -d >{fresh} && chmod 0644 {fresh} && "
            f"chown root:root {fresh} && mv {fresh} {quoted} && {{ {then}; }}"
        )
        return self.ensure(path, _has_file(path, text), script)

    def ensure_absent(self, path: str, then: str = ":") -> bool:
        """Removes a file or directory and runs `then`. Returns whether there was anything to do."""
        quoted = shlex.quote(path)
        return self.ensure(f"no {path}", f"[ ! -e {quoted} ] && [ ! -L {quoted} ]", f"rm -rf {quoted} && {{ {then}; }}")

    def save(self, new: Record) -> None:
        """Writes the record, which is not counted as a change."""
        if self.dry_run:
            return
        text, fresh = _encoded(record.to_text(new)), f"{record.FILE}.new"
        self.remote.run(
            "record",
            f"umask 022; mkdir -p $(dirname {record.FILE}) && echo {text} | base64 -d >{fresh}"
            f" && sync {fresh} && mv {fresh} {record.FILE}",
        )


def _has_file(path: str, text: str) -> str:
    quoted = shlex.quote(path)
    return (
        f'[ "$(stat -c "%#a %U" {quoted} 2>/dev/null)" = "0644 root" ] && '
        f"echo {_encoded(text)} | base64 -d | cmp -s - {quoted}"
    )


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
