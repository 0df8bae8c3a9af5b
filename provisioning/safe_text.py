"""Text from people and hosts on its way to a shell, a unit, a configuration file or a terminal. Pure.

shlex.quote is for the shell. This module is for the places where no quoting exists, or where it has other rules: such
text is checked, and refused with a RefusedText that says what is wrong.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

from provisioning.host_errors import RefusedText

# What useradd(8) of every family takes. In sshd_config(5) none of these characters is a pattern.
_ACCOUNT = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_HOSTNAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?")
_NEEDS_QUOTES = re.compile(r"[\s\"'\\;]")
# What OpenSSH 9.6 and later refuse in names on their command line (valid_hostname and valid_ruser in ssh.c), because
# ProxyCommand and Match exec hand them to a shell. A user may be DOMAIN\name.
_NOT_IN_A_USER = frozenset("'`\";&<>|(){}")
_NOT_IN_A_HOST = _NOT_IN_A_USER | frozenset("$\\,")


def account_name(name: str) -> str:
    """`name`, which is an account's. Raises RefusedText."""
    if not _ACCOUNT.fullmatch(name):
        raise RefusedText(
            f"{name!r} cannot be the name of an account (up to 32 small letters, digits, '-' and '_', no digit or '-' "
            "in front)"
        )
    return name


def client_network(text: str) -> str:
    """The network or address `text` in its usual form. Raises RefusedText, also for an address with a zone."""
    if "%" in text:
        raise RefusedText(f"{text!r} has a zone (%), which means nothing on another host: leave it out")
    try:
        return str(ipaddress.ip_network(text))
    except ValueError as error:
        raise RefusedText(str(error)) from None


def alternative_name(name: str) -> str:
    """`name` as openssl writes it in subjectAltName: "IP:192.0.2.1", "DNS:worker-1". Raises RefusedText."""
    try:
        return f"IP:{ipaddress.ip_address(name.partition('%')[0])}"
    except ValueError:
        if not _HOSTNAME.fullmatch(name):
            raise RefusedText(f"{name!r} is neither an IP address nor a host name") from None
        return f"DNS:{name}"


def ssh_name(name: str) -> str:
    """`name`, which ssh may take as `[user@]host`. Raises RefusedText."""
    user, _, host = name.rpartition("@")
    special = _NOT_IN_A_USER & set(user) or _NOT_IN_A_HOST & set(host)
    if special or not host or name.startswith("-") or host.startswith("-") or not name.isprintable() or " " in name:
        raise RefusedText(f"{name!r} cannot be a host for ssh: it holds white space or what a shell would interpret")
    return name


def package_names(names: Iterable[str]) -> list[str]:
    """`names`, none of which a package manager could take for an option. Raises RefusedText."""
    found = list(names)
    for name in found:
        if not name or name.startswith("-") or not name.isprintable():
            raise RefusedText(f"{name!r} cannot be the name of a package")
    return found


def unit_word(text: str) -> str:
    """One word of a command line in a unit (systemd.service(5), COMMAND LINES; systemd.syntax(7), Quoting).

    Raises RefusedText for control characters: a line end would begin a setting of its own.
    """
    if not text.isprintable():
        raise RefusedText(f"{text!r} cannot stand in a unit: it holds a line end or another control character")
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"' if not text or _NEEDS_QUOTES.search(text) else escaped


def unit_words(line: str) -> list[str]:
    """The words of a command line that `unit_word` made."""
    words = [re.sub(r"\\(.)", r"\1", quoted) if quoted else bare for quoted, bare in _words(line)]
    return [word.replace("%%", "%").replace("$$", "$") for word in words]


def _words(line: str) -> list[tuple[str, str]]:
    return re.findall(r'"((?:[^"\\]|\\.)*)"|(\S+)', line)


def visible(text: str) -> str:
    """`text` for a terminal: control characters but line ends and tabs are shown as Python writes them (\\x1b)."""
    return "".join(
        letter if letter.isprintable() or letter in "\n\t" else letter.encode("unicode_escape").decode()
        for letter in text
    )
