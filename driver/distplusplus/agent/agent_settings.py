"""The agent's settings: from the environment, else the user's file, else the system's file, else the defaults."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Final

from distcc_common import addresses, config_files, limits
from distcc_common.errors import ConfigurationError
from distplusplus.protocol import compression
from distplusplus.protocol import distplusplus_pb2 as pb

PREFIX: Final = "DISTPLUSPLUS_"
SYSTEM_FILE: Final = "/etc/distplusplus/distplusplus.toml"
DEFAULT_PORT: Final = 3634
LOG_LEVELS: Final = ("trace", "debug", "info", "warning", "error", "fatal")
FALLBACKS: Final = ("local", "wait", "fail")
EXPAND_MACROS: Final = ("server", "client")

_MAX_TIMEOUT_S = 7 * 86400.0
_SERVER_KEYS = ("address", "tls", "ca", "certificate", "key", "token-file")


@dataclass(frozen=True)
class WorkerSettings:
    """One server. Paths are absolute; `target` is what gRPC connects to, `text` what the user wrote."""

    target: str
    tls: bool = False
    ca: str | None = None
    certificate: str | None = None
    key: str | None = None
    token_file: str | None = None
    text: str = field(default="", compare=False)

    @property
    def is_local(self) -> bool:
        """Whether nobody else can read what is sent there."""
        return self.target.startswith(addresses.UNIX_SCHEME) or addresses.is_loopback(addresses.parse(self.target)[0])


@dataclass(frozen=True)
class AgentSettings:
    """Every setting, checked. Times in seconds."""

    servers: tuple[WorkerSettings, ...] = ()
    compress: pb.CompressionType = pb.zstd
    compression_level: int = compression.DEFAULT_LEVEL
    log_level: str = "warning"
    fallback: str = "local"
    expand_macros: str = "server"
    header_jobs: bool = False
    local_jobs: int = field(default_factory=lambda: limits.cpus().cpus)
    preprocess_jobs: int = field(default_factory=lambda: limits.cpus().cpus + 1)
    connect_timeout_s: float = 5.0
    reserve_timeout_s: float = 10.0
    transfer_timeout_s: float = 60.0
    compile_timeout_s: float = 4 * 3600.0
    idle_timeout_s: float = 600.0


def load(environ: Mapping[str, str]) -> AgentSettings:
    """The settings in force. Raises ConfigurationError that names the value and where it stands.

    They are read again only when a file or a variable of ours has changed, since every compile asks for them.
    """
    variables = tuple(sorted((key, value) for key, value in environ.items() if key.startswith(PREFIX) and value))
    files = tuple((path, _stamp(path)) for path in (system_file(environ), user_file(environ)) if path)
    return _load(variables, files)


def system_file(environ: Mapping[str, str]) -> str:
    """The system's configuration file; DISTPLUSPLUS_SYSTEM_CONFIG names another one."""
    return environ.get(f"{PREFIX}SYSTEM_CONFIG") or SYSTEM_FILE


def user_file(environ: Mapping[str, str]) -> str | None:
    """The user's configuration file (XDG base directory specification), None without a home directory."""
    return config_files.user_file(environ, "distplusplus", "distplusplus.toml")


def parse_server(text: str) -> WorkerSettings:
    """`[grpc://|grpcs://]HOST[:PORT]` or `unix:/PATH`. Raises ValueError."""
    if text.startswith(addresses.UNIX_SCHEME):
        return WorkerSettings(addresses.UNIX_SCHEME + addresses.parse_unix(text), text=text)
    scheme, separator, rest = text.rpartition("://")
    if separator and scheme not in ("grpc", "grpcs"):
        raise ValueError(f"'{text}': unknown scheme '{scheme}://' (use grpc:// or grpcs://)")
    try:
        target = addresses.join(*addresses.parse(rest, DEFAULT_PORT))
    except ValueError as error:
        raise ValueError(f"'{text}' is not HOST, HOST:PORT, [IPV6]:PORT or unix:/PATH: {error}") from None
    return WorkerSettings(target, tls=scheme == "grpcs", text=text)


def as_configured(server: WorkerSettings, configured: Iterable[WorkerSettings]) -> WorkerSettings:
    """`server`, with the certificates and the token that a configured server of the same address has."""
    for entry in configured:
        if (entry.target, entry.tls) == (server.target, server.tls):
            return replace(entry, text=server.text)
    return server


def _stamp(path: str) -> tuple[int, ...] | None:
    """What changes with the file; None if there is none."""
    try:
        status = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        return (error.errno or 0,)
    return status.st_mtime_ns, status.st_ino, status.st_size


@lru_cache(maxsize=64)
def _load(variables: tuple[tuple[str, str], ...], files: tuple[tuple[str, object], ...]) -> AgentSettings:
    values: dict[str, Any] = {}
    for path, stamp in files:
        if stamp is not None:
            values |= _read_file(path)
    configured: tuple[WorkerSettings, ...] = values.get("servers", ())
    for name, text in variables:
        key = name.removeprefix(PREFIX).lower().replace("_", "-")
        if key in _READERS:
            values[_field(key)] = _checked(key, text, f"{name} (environment)")
    values["servers"] = tuple(as_configured(server, configured) for server in values.get("servers", ()))
    return AgentSettings(**values)


def _read_file(path: str) -> dict[str, Any]:
    table = config_files.read_toml(path) or {}
    for key in table:
        if key not in _READERS:
            raise ConfigurationError(f"{path}: {key}: there is no such setting (known: {', '.join(_READERS)})")
    return {_field(key): _checked(key, value, f"{path}: {key}") for key, value in table.items()}


def _checked(key: str, value: object, source: str) -> Any:
    return config_files.read_value(_READERS[key], value, source)


def _servers(value: object) -> tuple[WorkerSettings, ...]:
    entries = value.split() if isinstance(value, str) else value
    if not isinstance(entries, list):
        raise ValueError('expected an array of servers, such as ["worker-1", "worker-2:3634"]')
    return tuple(dict.fromkeys(_server(entry) for entry in entries))


def _server(entry: object) -> WorkerSettings:
    if isinstance(entry, str):
        return parse_server(entry)
    if not isinstance(entry, dict) or not isinstance(entry.get("address"), str):
        raise ValueError(f"{entry!r} is neither an address nor a table with an address")
    for key, item in entry.items():
        if key not in _SERVER_KEYS:
            raise ValueError(f"a server has no '{key}' (known: {', '.join(_SERVER_KEYS)})")
        expected, name = (bool, "true or false") if key == "tls" else (str, "a string")
        if not isinstance(item, expected):
            raise ValueError(f"'{key}' of server {entry['address']}: {item!r} is not {name}")
        if key in _SERVER_KEYS[2:] and not os.path.isabs(str(item)):
            raise ValueError(f"'{key}' of server {entry['address']}: '{item}' is not an absolute path")
    files = {key.replace("-", "_"): entry[key] for key in _SERVER_KEYS[2:] if key in entry}
    server = parse_server(entry["address"])
    server = replace(server, tls=entry.get("tls", server.tls), **files)
    if ("certificate" in files) != ("key" in files):
        raise ValueError(f"server {server.text}: 'certificate' and 'key' go together")
    if not server.tls and any(name in files for name in ("ca", "certificate")):
        raise ValueError(f"server {server.text}: 'ca' and 'certificate' need tls = true (or grpcs://)")
    if server.token_file and not server.tls and not server.is_local:
        raise ValueError(f"server {server.text}: the token would cross the network in the clear; set tls = true")
    return server


def _compress(value: object) -> int:
    return pb.CompressionType.Value(config_files.choice("zstd", "NONE")(value))


def _switch(value: object) -> bool:
    if isinstance(value, bool):
        return value
    return config_files.choice("true", "false")(value) == "true"


_READERS: Mapping[str, Callable[[object], Any]] = {
    "servers": _servers,
    "compress": _compress,
    "compression-level": config_files.whole_number(-100, compression.MAX_LEVEL),
    "log-level": config_files.choice(*LOG_LEVELS),
    "fallback": config_files.choice(*FALLBACKS),
    "expand-macros": config_files.choice(*EXPAND_MACROS),
    "header-jobs": _switch,
    "local-jobs": config_files.whole_number(1, 100_000),
    "preprocess-jobs": config_files.whole_number(1, 100_000),
    "connect-timeout": config_files.seconds(_MAX_TIMEOUT_S),
    "reserve-timeout": config_files.seconds(_MAX_TIMEOUT_S),
    "transfer-timeout": config_files.seconds(_MAX_TIMEOUT_S),
    "compile-timeout": config_files.seconds(_MAX_TIMEOUT_S),
    "idle-timeout": config_files.seconds(_MAX_TIMEOUT_S),
}


def _field(key: str) -> str:
    name = key.replace("-", "_")
    return f"{name}_s" if key.endswith("-timeout") else name


def known_keys() -> Iterator[str]:
    """The keys of the file; each is also a variable, DISTPLUSPLUS_ and the key in capitals."""
    return iter(_READERS)
