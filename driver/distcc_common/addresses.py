"""Addresses as people write them: host names, IP addresses, ports and Unix sockets. Pure.

This is the only reader of `HOST:PORT`. Driver, agent and server use it, so that one address never has two meanings.

ADDRESS  = HOSTNAME[:PORT]
HOSTNAME = ALPHANUMERIC_HOSTNAME | IPv4_ADDRESS | [IPv6_ADDRESS]

No host that it accepts holds white space, a control character or a character that is special to a shell, but for the
brackets of an IPv6 address.
"""

from __future__ import annotations

import os
import re
import socket

UNIX_SCHEME = "unix:"
# sun_path of unix(7) has 108 bytes, of which one is for the end.
MAX_UNIX_PATH_BYTES = 107

_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*\.?")
# A name whose last label is a number can only be meant as an IPv4 address.
_LOOKS_LIKE_IPV4 = re.compile(r"([^.]*\.)*[0-9]+\.?")
_IPV6_ZONE = re.compile(r"[A-Za-z0-9_.-]+")


def parse(text: str, default_port: int | None = None, *, lowest_port: int = 1) -> tuple[str, int]:
    """Host and port of `HOST[:PORT]`; the host as `normalized` returns it.

    A server that listens may give 0 as its `lowest_port`: the kernel then chooses one.
    Raises ValueError, also where the port is missing and there is no default.
    """
    hostname, rest = split_hostname(text)
    before, colon, number = rest.partition(":")
    if before:
        raise ValueError(f"'{before}' after the host name (expected :PORT)")
    if colon:
        return normalized(hostname), parse_port(number, lowest_port)
    if default_port is None:
        raise ValueError(f"'{text}' has no port (expected HOST:PORT)")
    return normalized(hostname), default_port


def split_hostname(text: str) -> tuple[str, str]:
    """The host name at the beginning of `text`, in the case in which it was written, and the text after it.

    An IPv6 address comes without its brackets and in its shortest form. Raises ValueError.
    """
    if text.startswith("["):
        inside, bracket, rest = text[1:].partition("]")
        if not bracket:
            raise ValueError("'[' without ']'")
        return _ipv6(inside), rest
    if _is_ipv6(text):
        raise ValueError("an IPv6 address needs brackets, as in [::1]")
    name, colon, rest = text.partition(":")
    return _hostname(name), colon + rest


def normalized(hostname: str) -> str:
    """`hostname` in lower case, as names in DNS have no case; the zone of an IPv6 address has one and keeps it."""
    literal, percent, zone = hostname.partition("%")
    return literal.lower() + percent + zone


def join(hostname: str, port: int) -> str:
    """HOST:PORT, an IPv6 address in brackets."""
    return f"[{hostname}]:{port}" if ":" in hostname else f"{hostname}:{port}"


def parse_port(text: str, lowest: int = 1) -> int:
    """A port number. Raises ValueError."""
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and lowest <= int(text) <= 65535):
        raise ValueError(f"'{text}' is not a port ({lowest} to 65535)")
    return int(text)


def parse_unix(text: str) -> str:
    """The absolute path of `unix:/PATH` or `unix:///PATH`. Raises ValueError."""
    path = text.removeprefix(UNIX_SCHEME)
    if path.startswith("///"):
        path = path[2:]
    if not path.startswith("/") or len(os.fsencode(path)) > MAX_UNIX_PATH_BYTES:
        raise ValueError(f"'{text}': expected unix: and an absolute path of at most {MAX_UNIX_PATH_BYTES} bytes")
    if not path.isprintable():
        raise ValueError(f"{text!r}: the path of a Unix socket may not hold control characters")
    return path


def is_loopback(hostname: str) -> bool:
    """Whether `hostname` (an IPv6 address without brackets) can only mean this machine.

    A name other than `localhost` never does, whatever it begins with: 127.example.com is any machine.
    """
    if hostname.lower().rstrip(".") == "localhost":
        return True
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            packed = socket.inet_pton(family, hostname)
        except (OSError, ValueError):
            continue
        return packed[0] == 127 if family == socket.AF_INET else _is_loopback_v6(packed)
    return False


def _is_loopback_v6(packed: bytes) -> bool:
    is_mapped = packed[:12] == bytes(10) + b"\xff\xff"
    return packed[12] == 127 if is_mapped else packed == bytes(15) + b"\x01"


def _hostname(name: str) -> str:
    if not name:
        raise ValueError("the host name is missing")
    if _LOOKS_LIKE_IPV4.fullmatch(name):
        try:
            socket.inet_pton(socket.AF_INET, name)
        except OSError:
            raise ValueError(f"'{name}' is not an IPv4 address") from None
        return name
    if len(name) > 253 or not _NAME.fullmatch(name):
        raise ValueError(f"'{name}' is not a host name")
    return name


def _ipv6(text: str) -> str:
    literal, percent, zone = text.partition("%")
    try:
        packed = socket.inet_pton(socket.AF_INET6, literal)
    except (OSError, ValueError):
        packed = b""
    if not packed or (percent and not _IPV6_ZONE.fullmatch(zone)):
        raise ValueError(f"'{text}' is not an IPv6 address")
    return socket.inet_ntop(socket.AF_INET6, packed) + percent + zone


def _is_ipv6(text: str) -> bool:
    try:
        return bool(socket.inet_pton(socket.AF_INET6, text))
    except (OSError, ValueError):
        return False
