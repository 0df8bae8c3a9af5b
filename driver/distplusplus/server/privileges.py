"""Which user the server and its jobs run as, and how root is given up."""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass

from distcc_common.errors import ConfigurationError

_DEFAULT_USERS = ("distplusplus", "distccd", "nobody")


@dataclass(frozen=True)
class Account:
    """An unprivileged user."""

    name: str
    uid: int
    gid: int


def account(name: str | None) -> Account | None:
    """Whom to become: None if this is not root. Raises ConfigurationError."""
    if os.geteuid() != 0:
        if name is not None and user_name() != name:
            raise ConfigurationError(f"--user {name}: only root can become another user")
        return None
    for candidate in (name,) if name else _DEFAULT_USERS:
        try:
            entry = pwd.getpwnam(candidate)
            break
        except KeyError:
            continue
    else:
        raise ConfigurationError(
            f"--user: there is no user {name or ' or '.join(_DEFAULT_USERS)}; jobs never run as root"
        )
    if entry.pw_uid == 0 or entry.pw_gid == 0:
        raise ConfigurationError(f"--user {entry.pw_name}: has root's user or group number; jobs never run as root")
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def user_name() -> str:
    """Who this process is; a number where nothing knows a name for it, as with systemd's DynamicUser in a container."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return f"user {os.geteuid()}"


def become(who: Account) -> None:
    """Gives up root for good."""
    os.setgroups([])
    os.setresgid(who.gid, who.gid, who.gid)
    os.setresuid(who.uid, who.uid, who.uid)
