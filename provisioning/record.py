"""What provision brought to a host, kept there, so that remove takes away that and nothing else."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

from provisioning.daemon_kinds import DISTCCD, KINDS, DaemonKind
from provisioning.host_errors import HostError
from provisioning.remote import Remote
from provisioning.render import STATE_DIR

FILE = f"{STATE_DIR}/provisioned.json"


@dataclass(frozen=True)
class Record:
    """`before` is what the host had when an installation began that has not been seen to end: packages, accounts.

    `daemon` is the name of a DaemonKind. Accounts are "user:NAME" and "group:NAME"; a firewall rule is
    "firewalld 192.0.2.0/24 3632".
    """

    daemon: str = DISTCCD.name
    ports: tuple[int, ...] = DISTCCD.usual_ports
    packages: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    firewall: tuple[str, ...] = ()
    selinux_ports: tuple[str, ...] = ()
    tunnel_user: str | None = None
    container: str | None = None
    images: tuple[str, ...] = ()
    before: tuple[str, ...] | None = None

    @property
    def kind(self) -> DaemonKind:
        return KINDS[self.daemon]


def read(remote: Remote) -> Record | None:
    """The host's record, None where there is none. Raises HostError when it cannot be understood."""
    text = remote.run("record", f"cat {FILE} 2>/dev/null || :").stdout
    if not text.strip():
        return None
    try:
        document = json.loads(text)
        values: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in document.items()
        }
        known = Record(**values)
        if known.daemon not in KINDS:
            raise ValueError(f"daemon {known.daemon!r}")
        return known
    except (ValueError, TypeError, AttributeError) as error:
        raise HostError(f"{FILE} there is not a record of this version: {error}") from None


def to_text(record: Record) -> str:
    return json.dumps(dataclasses.asdict(record), indent=1) + "\n"
