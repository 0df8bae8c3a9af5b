"""Who may call: clients in some networks, or with a bearer token. Needs no gRPC."""

from __future__ import annotations

import hmac
import ipaddress
import os
import urllib.parse
from collections.abc import Collection, Iterable

from distcc_common.errors import ConfigurationError
from distplusplus.server.log import log
from distplusplus.server.privileges import user_name
from distplusplus.server.server_settings import Network


def is_allowed(peer: str, networks: Collection[Network]) -> bool:
    """Whether a client may call: those of this machine always, others if `networks` is empty or one of them has it.

    `peer` as gRPC says it: `ipv4:192.0.2.7:58108`, `ipv6:%5B2001:db8::7%5D:58108`, `unix:`.
    """
    kind, _, rest = peer.partition(":")
    if not networks or kind not in ("ipv4", "ipv6"):
        return True
    host = urllib.parse.unquote(rest).rpartition(":")[0].strip("[]").partition("%")[0]
    address: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.ip_address(host)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return address.is_loopback or any(address in network for network in networks)


class FileWatch:
    """The contents of some files, read again when one of them changes."""

    def __init__(self, *paths: str) -> None:
        self._paths = paths
        self._stamp = self._read_stamp()
        self.contents = self._read()

    def changed(self) -> bool:
        """Whether `contents` is new since the last call. A file that cannot be read leaves the old contents."""
        try:
            stamp = self._read_stamp()
            if stamp == self._stamp:
                return False
            self.contents = self._read()
        except OSError as error:
            log.error("cannot reload %s, the old contents stay: %s", error.filename, error.strerror)
            return False
        self._stamp = stamp
        return True

    def _read_stamp(self) -> list[tuple[int, int, int]]:
        return [(status.st_mtime_ns, status.st_ino, status.st_size) for status in map(os.stat, self._paths)]

    def _read(self) -> list[bytes]:
        contents = []
        for path in self._paths:
            with open(path, "rb") as file:
                contents.append(file.read())
        return contents


def watched_files(what: str, *paths: str) -> FileWatch:
    """A watch of the files that the option `what` names. Raises ConfigurationError."""
    try:
        return FileWatch(*paths)
    except OSError as error:
        raise ConfigurationError(
            f"{what}: {error.filename}: {error.strerror} (the server runs as {user_name()})"
        ) from error


class Tokens:
    """The bearer tokens of a file, read again when it changes. Raises ConfigurationError if it holds none."""

    def __init__(self, path: str) -> None:
        self._watch = watched_files("--token-file", path)
        self._tokens = self._parse()
        if not self._tokens:
            raise ConfigurationError(f"--token-file {path}: holds no token")

    def _parse(self) -> list[tuple[bytes, str]]:
        tokens = []
        for number, line in enumerate(self._watch.contents[0].decode("utf-8", "replace").splitlines(), 1):
            words = line.split()
            if words and not words[0].startswith("#"):
                tokens.append((words[-1].encode(), words[0] if len(words) > 1 else f"token {number}"))
        return tokens

    def user(self, metadata: Iterable[tuple[str, str | bytes]] | None) -> str | None:
        """The name of the token that a call's metadata carries, None if it carries none of them."""
        if self._watch.changed():
            self._tokens = self._parse()
        found = None
        for key, value in metadata or ():
            if key == "authorization" and isinstance(value, str) and value[:7].lower() == "bearer ":
                for token, name in self._tokens:
                    if hmac.compare_digest(token, value[7:].strip().encode("utf-8", "surrogatepass")):
                        found = name
        return found
