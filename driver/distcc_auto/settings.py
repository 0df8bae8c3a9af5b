"""What the user configured: the environment first, then the user's TOML file, then the system's, then the defaults."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from distcc_auto import hosts
from distcc_common import config_files, limits
from distcc_common.errors import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing costs 3 ms to import
    from typing import TypeVar

    T = TypeVar("T")

PREFIX = "DISTCC_AUTO_"
SYSTEM_FILE = "/etc/distcc-auto/config.toml"

_DEFAULT_COMPILER_MEMORY_MIB = 1024
_DEFAULT_CONNECT_TIMEOUT_S = 5.0
_DEFAULT_ANSWER_TIMEOUT_S = 10.0
_DEFAULT_TUNNEL_TIMEOUT_S = 15.0
# Bounds that catch a mistake (bytes for MiB, a pasted port) before it reaches `-j`.
_MAX_JOBS = 100_000
_MAX_MEMORY_MIB = 1 << 30
_MAX_TIMEOUT_S = 3600.0


@dataclass(frozen=True)
class DriverSettings:
    """Every setting of the driver, checked."""

    hosts: tuple[hosts.HostSpec, ...]
    compiler_memory_mib: int
    early_local_jobs: int
    fallback_local_jobs: int
    saturation_jobs: int
    connect_timeout_s: float
    answer_timeout_s: float
    tunnel_timeout_s: float = _DEFAULT_TUNNEL_TIMEOUT_S


@dataclass(frozen=True)
class _Value:
    text: str
    source: str


_KEYS = (
    "HOSTS",
    "COMPILER_MEMORY",
    "EARLY_LOCAL_JOBS",
    "FALLBACK_LOCAL_JOBS",
    "PREPROCESSOR_SATURATION_JOBS",
    "CONNECT_TIMEOUT",
    "ANSWER_TIMEOUT",
    "TUNNEL_TIMEOUT",
)


def load(environ: Mapping[str, str], system_file: str = SYSTEM_FILE) -> DriverSettings:
    """The settings in force. Raises ConfigurationError that names the value and where it stands."""
    values = _collect(environ, system_file)

    def number(key: str, default: int, most: int) -> int:
        return _read(values[key], config_files.whole_number(0, most)) if key in values else default

    def seconds(key: str, default_s: float) -> float:
        return _read(values[key], config_files.seconds(_MAX_TIMEOUT_S)) if key in values else default_s

    own_cpus = limits.cpus().cpus
    return DriverSettings(
        hosts=_hosts(values.get("HOSTS")),
        compiler_memory_mib=number("COMPILER_MEMORY", _DEFAULT_COMPILER_MEMORY_MIB, _MAX_MEMORY_MIB),
        early_local_jobs=number("EARLY_LOCAL_JOBS", 0, _MAX_JOBS),
        fallback_local_jobs=number("FALLBACK_LOCAL_JOBS", own_cpus, _MAX_JOBS),
        saturation_jobs=number("PREPROCESSOR_SATURATION_JOBS", own_cpus, _MAX_JOBS),
        connect_timeout_s=seconds("CONNECT_TIMEOUT", _DEFAULT_CONNECT_TIMEOUT_S),
        answer_timeout_s=seconds("ANSWER_TIMEOUT", _DEFAULT_ANSWER_TIMEOUT_S),
        tunnel_timeout_s=seconds("TUNNEL_TIMEOUT", _DEFAULT_TUNNEL_TIMEOUT_S),
    )


def user_file(environ: Mapping[str, str]) -> str | None:
    """The user's config.toml, None without a home directory."""
    return config_files.user_file(environ, "distcc-auto", "config.toml")


def _collect(environ: Mapping[str, str], system_file: str) -> dict[str, _Value]:
    """Key without prefix -> value. An empty variable counts as not set, as in a shell's ${VAR:-default}."""
    values: dict[str, _Value] = {}
    for path in (system_file, user_file(environ)):
        if path is not None:
            values.update(_read_file(path))
    for key in _KEYS:
        if text := environ.get(PREFIX + key, "").strip():
            values[key] = _Value(text, f"{PREFIX}{key} (environment)")
    return values


def _read_file(path: str) -> Iterator[tuple[str, _Value]]:
    table = config_files.read_toml(path) or {}
    for name, value in table.items():
        key = name.upper().removeprefix(PREFIX)
        source = f"{path}: {name}"
        if key not in _KEYS:
            known = ", ".join(key.lower() for key in _KEYS)
            raise ConfigurationError(f"{source}: there is no such setting (known: {known})")
        yield key, _Value(_toml_text(value, key, source), source)


def _toml_text(value: object, key: str, source: str) -> str:
    """A TOML value as the text that a variable would hold."""
    if key == "HOSTS" and isinstance(value, list) and all(isinstance(entry, str) for entry in value):
        return " ".join(value)
    if isinstance(value, str) or (key != "HOSTS" and type(value) in {int, float}):
        return str(value)
    expected = "a string or an array of strings" if key == "HOSTS" else "a number"
    raise ConfigurationError(f"{source}: expected {expected}, got {value!r}")


def _read(value: _Value, reader: Callable[[object], T]) -> T:
    return config_files.read_value(reader, value.text, value.source)


def _hosts(value: _Value | None) -> tuple[hosts.HostSpec, ...]:
    specs = hosts.parse_hosts(value.text, value.source) if value else ()
    if not specs:
        raise ConfigurationError(
            f"no hosts: {PREFIX}HOSTS is empty; name your workers, for example "
            f'{PREFIX}HOSTS="worker-1 worker-2:3632:3633"'
        )
    return specs
