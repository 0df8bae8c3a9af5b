"""A record of everything that provision brought to a host. The host keeps it; `remove` removes exactly that."""

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
    """`before` is set while an installation runs: the packages and accounts that the host had before it.

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
    """The host's record, or None. Raises HostError when it is not a record of this version."""
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
        for field in dataclasses.fields(Record):
            _check_type(field.name, values.get(field.name, field.default))
        return known
    except (ValueError, TypeError, AttributeError) as error:
        raise HostError(f"{FILE} there is not a record of this version: {error}") from None


def _check_type(name: str, value: object) -> None:
    """Raises ValueError unless `value` can be this field's. What goes into a command is quoted there."""
    one_text = name in ("daemon", "tunnel_user", "container")
    wanted = int if name == "ports" else str
    if value is None and name in ("tunnel_user", "container", "before"):
        return
    if not (isinstance(value, str) if one_text else isinstance(value, tuple) and all(type(v) is wanted for v in value)):
        raise ValueError(f"{name}: {value!r}")


def to_text(record: Record) -> str:
    return json.dumps(dataclasses.asdict(record), indent=1) + "\n"
