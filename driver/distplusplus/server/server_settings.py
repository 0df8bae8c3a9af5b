"""The options of distplusplusd: by flag, and by environment, which wins (as in the first implementation)."""

from __future__ import annotations

import argparse
import ipaddress
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from distcc_common import __version__, addresses
from distcc_common.errors import ConfigurationError
from distplusplus.protocol import compression
from distplusplus.server.compilers import ALLOWED_DIRS

DEFAULT_ADDRESS = "127.0.0.1:3634"
LOG_LEVELS = ("trace", "debug", "info", "warning", "error", "fatal")
_MIB = 1024 * 1024
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True)
class ServerSettings:
    """What the server was told. Sizes in bytes or MiB and times in seconds, as the names say."""

    listen_address: tuple[str, ...]
    log_level: str
    log_format: str
    compress: str
    compression_level: int
    reservation_timeout_s: float
    max_wait_s: float
    transfer_timeout_s: float
    job_timeout_s: float
    jobs: int | None
    memory_per_job_mib: int
    job_memory_mib: int
    max_input_mib: int
    max_output_mib: int
    job_dir: str | None
    header_store: str | None
    header_store_mib: int
    compiler_dirs: tuple[str, ...]
    user: str | None
    allow: tuple[Network, ...]
    tls_certificate: str | None
    tls_key: str | None
    tls_client_ca: str | None
    token_file: str | None
    insecure: bool
    unconfined: bool
    metrics_address: str | None
    check: bool

    @property
    def max_input_bytes(self) -> int:
        return self.max_input_mib * _MIB

    @property
    def max_output_bytes(self) -> int:
        return self.max_output_mib * _MIB


def is_local(address: str) -> bool:
    """Whether only this machine can reach `address`, a gRPC listen address."""
    if address.startswith((addresses.UNIX_SCHEME, "unix-abstract:")):
        return True
    return addresses.is_loopback(split_host_port(address)[0])


def split_host_port(address: str) -> tuple[str, int]:
    """`host:port` or `[v6]:port`. Raises ConfigurationError."""
    try:
        return addresses.parse(address, lowest_port=0)
    except ValueError as error:
        raise ConfigurationError(f"{address!r} is not host:port, [v6 address]:port or unix:/path: {error}") from None


def _address(text: str) -> str:
    if text.startswith(addresses.UNIX_SCHEME):
        try:
            return addresses.UNIX_SCHEME + addresses.parse_unix(text)
        except ValueError as error:
            raise ConfigurationError(str(error)) from None
    split_host_port(text)
    return text


def _metrics_address(text: str) -> str:
    split_host_port(text)
    return text


def _network(text: str) -> Network:
    try:
        network = ipaddress.ip_network(text)
    except ValueError as error:
        raise ConfigurationError(f"{error} (an address, or a network such as 192.0.2.0/24)") from None
    if network.prefixlen == 0:
        raise ConfigurationError(f"{text!r} is the whole world; name the clients' networks")
    return network


def _choice(*choices: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        for choice in choices:
            if text.lower() == choice.lower():
                return choice
        raise ConfigurationError(f"{text!r} is none of {', '.join(choices)}")

    return parse


def _number(kind: type[int] | type[float], low: float, high: float, unit: str = "") -> Callable[[str], Any]:
    def parse(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = float("nan")
        if not low <= value <= high:
            raise ConfigurationError(f"{text!r} is not a number from {low:g} to {high:g}{unit}")
        return value

    return parse


def _switch(text: str) -> bool:
    if text.lower() in ("1", "true", "yes", "on"):
        return True
    if text.lower() in ("0", "false", "no", "off", ""):
        return False
    raise ConfigurationError(f"{text!r} is neither 1 nor 0")


def _path(text: str) -> str:
    if not os.path.isabs(text):
        raise ConfigurationError(f"{text!r} is not an absolute path")
    return text


@dataclass(frozen=True)
class _Option:
    name: str
    parse: Callable[[str], Any]
    default: Any
    help: str
    metavar: str = ""
    field: str = ""
    many: bool = False

    @property
    def key(self) -> str:
        return self.field or self.name.replace("-", "_")

    @property
    def variable(self) -> str:
        return "DISTPLUSPLUS_" + self.name.replace("-", "_").upper()


OPTIONS = (
    _Option(
        "listen-address",
        _address,
        (DEFAULT_ADDRESS,),
        "address to listen on, host:port or unix:/path; may be given more than once"
        f" (in the environment: separated by commas). Default {DEFAULT_ADDRESS}",
        "ADDRESS",
        many=True,
    ),
    _Option(
        "log-level",
        _choice(*LOG_LEVELS),
        "warning",
        "lowest severity that is logged: " + ", ".join(LOG_LEVELS) + ". Jobs are logged as info. Default warning",
        "LEVEL",
    ),
    _Option(
        "log-format",
        _choice("text", "json"),
        "text",
        "text or json. Default text",
        "FORMAT",
    ),
    _Option(
        "compress",
        _choice("NONE", "zstd"),
        "zstd",
        "how outputs are compressed: NONE or zstd. Default zstd",
        "TYPE",
    ),
    _Option(
        "compression-level",
        _number(int, -100, compression.MAX_LEVEL),
        compression.DEFAULT_LEVEL,
        f"zstd level, -100 to {compression.MAX_LEVEL}. Default 1",
        "LEVEL",
    ),
    _Option(
        "reservation-timeout",
        _number(float, 0.05, 3600, " seconds"),
        1.0,
        "free a reservation that has not been used for this long. Default 1",
        "SECONDS",
        "reservation_timeout_s",
    ),
    _Option(
        "max-wait",
        _number(float, 0, 3600, " seconds"),
        60.0,
        "longest time that a client may wait for a slot; with 0 it cannot wait. Default 60",
        "SECONDS",
        "max_wait_s",
    ),
    _Option(
        "transfer-timeout",
        _number(float, 0.1, 86400, " seconds"),
        120.0,
        "longest time for the upload of a job. Default 120",
        "SECONDS",
        "transfer_timeout_s",
    ),
    _Option(
        "job-timeout",
        _number(float, 0.1, 86400, " seconds"),
        600.0,
        "longest time that a compiler may run, and CPU time of each process. Default 600",
        "SECONDS",
        "job_timeout_s",
    ),
    _Option(
        "jobs",
        _number(int, 1, 100_000),
        None,
        "number of slots. Default: the CPUs that this process may use, fewer while memory is short",
        "N",
    ),
    _Option(
        "memory-per-job",
        _number(int, 0, 1 << 20, " MiB"),
        256,
        "memory that must be free for each further slot; 0 turns the check off. Default 256",
        "MIB",
        "memory_per_job_mib",
    ),
    _Option(
        "job-memory",
        _number(int, 64, 1 << 24, " MiB"),
        4096,
        "address space of each process of a job. Default 4096",
        "MIB",
        "job_memory_mib",
    ),
    _Option(
        "max-input",
        _number(int, 1, 1900, " MiB"),
        512,
        "largest preprocessed source. Default 512",
        "MIB",
        "max_input_mib",
    ),
    _Option(
        "max-output",
        _number(int, 1, 1900, " MiB"),
        1024,
        "largest output file of a job. Default 1024",
        "MIB",
        "max_output_mib",
    ),
    _Option(
        "job-dir",
        _path,
        None,
        "directory for jobs' files. Default: /dev/shm if it is large enough, else the temporary directory",
        "DIR",
    ),
    _Option(
        "header-store",
        _path,
        None,
        "directory for the sources and headers of header jobs. Default: none, and no header jobs",
        "DIR",
    ),
    _Option(
        "header-store-size",
        _number(int, 16, 1 << 24, " MiB"),
        2048,
        "how much the header store keeps; one user has half of it at most. Default 2048",
        "MIB",
        "header_store_mib",
    ),
    _Option(
        "compiler-dir",
        _path,
        ALLOWED_DIRS,
        "directory whose symbolic links are the allowed compilers; may be given more than once. Default "
        + " and ".join(ALLOWED_DIRS),
        "DIR",
        "compiler_dirs",
        many=True,
    ),
    _Option(
        "user",
        str,
        None,
        "when started as root, the user to switch to. Default: distplusplus, distccd or nobody, the first there is",
        "NAME",
    ),
    _Option(
        "allow",
        _network,
        (),
        "accept only clients in this network and on this machine; may be given more than once",
        "NETWORK",
        many=True,
    ),
    _Option(
        "tls-certificate",
        _path,
        None,
        "certificate chain (PEM), reloaded when it changes",
        "FILE",
    ),
    _Option(
        "tls-key",
        _path,
        None,
        "its private key (PEM)",
        "FILE",
    ),
    _Option(
        "tls-client-ca",
        _path,
        None,
        "accept only clients whose certificate is signed by one of these authorities (PEM)",
        "FILE",
    ),
    _Option(
        "token-file",
        _path,
        None,
        "accept only clients that send one of these bearer tokens; each line is `TOKEN` or `NAME TOKEN`",
        "FILE",
    ),
    _Option(
        "insecure",
        _switch,
        False,
        "allow listening on an address that other machines can reach, without TLS, tokens or --allow",
    ),
    _Option(
        "unconfined",
        _switch,
        False,
        "use keys and tokens even if this kernel has no Landlock to hide them from compilers",
    ),
    _Option(
        "metrics-address",
        _metrics_address,
        None,
        "serve Prometheus metrics over HTTP on host:port",
        "ADDRESS",
    ),
)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigurationError(f"{message}; see distplusplusd --help")


def parser() -> argparse.ArgumentParser:
    """The command line; also what --help prints."""
    made = _Parser(
        prog="distplusplusd",
        description="Compile server with an open protocol (gRPC). Exit status: 0 after SIGTERM,"
        " 96 for settings that cannot work, 1 for a fault.",
        epilog="Each option can be set in the environment, which overrides the option: --job-timeout by"
        " DISTPLUSPLUS_JOB_TIMEOUT, and so on.",
        allow_abbrev=False,
    )
    for option in OPTIONS:
        if option.parse is _switch:
            made.add_argument(f"--{option.name}", action="store_const", const="1", help=option.help, dest=option.key)
        else:
            action = "append" if option.many else "store"
            made.add_argument(
                f"--{option.name}", action=action, metavar=option.metavar, help=option.help, dest=option.key
            )
    made.add_argument("--check", action="store_true", help="print what would be allowed, and exit")
    made.add_argument("--version", action="version", version=f"distplusplusd {__version__}")
    return made


def load(arguments: Sequence[str], environment: Mapping[str, str]) -> ServerSettings:
    """The settings. Raises ConfigurationError, SystemExit for --help and --version."""
    given = vars(parser().parse_args(arguments))
    values: dict[str, Any] = {"check": given["check"]}
    for option in OPTIONS:
        texts: list[str] | None = None
        source = f"--{option.name}"
        if option.variable in environment:
            source = option.variable
            text = environment[option.variable]
            texts = [part.strip() for part in text.split(",")] if option.many else [text]
        elif given[option.key] is not None:
            texts = given[option.key] if option.many else [given[option.key]]
        if texts is None:
            values[option.key] = option.default
            continue
        try:
            parsed = tuple(option.parse(text) for text in texts)
        except ConfigurationError as error:
            raise ConfigurationError(f"{source}: {error}") from None
        values[option.key] = parsed if option.many else parsed[0]
    settings = ServerSettings(**values)
    _check_together(settings)
    return settings


def _check_together(settings: ServerSettings) -> None:
    if bool(settings.tls_certificate) != bool(settings.tls_key):
        raise ConfigurationError("--tls-certificate and --tls-key need each other")
    if settings.tls_client_ca and not settings.tls_certificate:
        raise ConfigurationError("--tls-client-ca needs --tls-certificate and --tls-key")
    if settings.tls_certificate or settings.token_file or settings.allow or settings.insecure:
        return
    for address in settings.listen_address:
        if not is_local(address):
            raise ConfigurationError(
                f"--listen-address {address}: other machines can reach it, and anyone there could run"
                f" compilers here."
                " Give --tls-certificate and --tls-key (with --tls-client-ca to know the clients),"
                " --token-file, or --allow with the clients' networks,"
                " or --insecure if everyone there is trusted"
            )
