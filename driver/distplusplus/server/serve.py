"""Runs the server: becomes an unprivileged user, listens, and ends on a signal."""

from __future__ import annotations

import asyncio
import concurrent.futures.thread
import contextlib
import encodings.ascii
import encodings.idna
import os
import signal
import socket
import sys
from collections.abc import Callable

# Loaded when first used, otherwise. Once root is given up, this interpreter's files may be out of reach.
__all__ = ["concurrent", "encodings", "run"]

# Read by gRPC when it is imported. Nothing here forks after gRPC has begun.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

import grpc
import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from distcc_common import landlock
from distcc_common.errors import ConfigurationError
from distplusplus.cas.store import Store
from distplusplus.protocol import methods
from distplusplus.protocol.refusals import CallRefused
from distplusplus.server import check, connections, memory
from distplusplus.server.access import Tokens
from distplusplus.server.compile import JobRunner
from distplusplus.server.compilers import Compilers
from distplusplus.server.gate import Gate
from distplusplus.server.header_runner import HeaderRunner
from distplusplus.server.log import configure, log
from distplusplus.server.privileges import account, become, user_name
from distplusplus.server.rpc import Service
from distplusplus.server.server_settings import ServerSettings, is_local, load
from distplusplus.server.tls import tls_credentials
from distplusplus.server.warden_client import WardenClient, choose_parent
from distplusplus.server.worker import Worker

_EXIT_FAULT = 1
_MIB = 1024 * 1024
# What a message has besides the source: arguments, names, a profile.
_MESSAGE_OVERHEAD_BYTES = 64 * _MIB
_ANSWERS_GRACE_S = 2.0
_OPTIONS = (
    ("grpc.so_reuseport", 0),
    ("grpc.max_send_message_length", -1),
    # Identity alone: a compressed message would be inflated before anyone could look at it.
    ("grpc.compression_enabled_algorithms_bitset", 1),
    ("grpc.max_concurrent_streams", 1000),
    # A client whose machine vanished is noticed after 20 s; one that ends is noticed at once.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.http2.max_pings_without_data", 0),
    # Ends of connections and refused handshakes are the clients' business.
    ("grpc.server_handshake_timeout_ms", 10_000),
    # A client of ours connects again when it has work.
    ("grpc.max_connection_idle_ms", 600_000),
)


def run(arguments: list[str]) -> int:
    """Runs the server, or --check; returns the exit status."""
    try:
        settings = load(arguments, os.environ)
        configure(settings.log_level, settings.log_format)
        if settings.check:
            print(asyncio.run(check.report(settings)))
            return 0
        return _start(settings)
    except ConfigurationError as error:
        print(f"distplusplusd: {error}", file=sys.stderr)
        return error.exit_status
    except BrokenPipeError:
        return _EXIT_FAULT
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _start(settings: ServerSettings) -> int:
    who = account(settings.user)
    if not landlock.abi():
        if (settings.tls_key or settings.token_file) and not settings.unconfined:
            raise ConfigurationError(
                "this kernel has no Landlock (Linux 5.13), so a compile could read the TLS key and the tokens;"
                " give --unconfined if every client may know them"
            )
        log.warning("this kernel has no Landlock: jobs can read every file that this server can read")
    for address in settings.listen_address:
        if not is_local(address):
            if settings.insecure and not (settings.tls_certificate or settings.token_file or settings.allow):
                log.warning("%s: anyone who can reach it can run compilers here (--insecure)", address)
            elif settings.token_file and not settings.tls_certificate:
                log.warning("%s: tokens and sources cross the network unencrypted", address)
    try:
        parent = choose_parent(settings.job_dir)
        warden = WardenClient(parent, settings.job_memory_mib * _MIB, settings.max_output_bytes, who)
    except OSError as error:
        raise ConfigurationError(f"--job-dir: {error}") from error
    memory.keep_no_large_blocks()
    if who:
        become(who)
        log.info("runs as user %s", who.name)
    return asyncio.run(_serve(settings, warden))


class _Told:
    """SIGTERM and SIGINT: `once` after the first, `twice` after the second. Made before the server says it is ready."""

    def __init__(self) -> None:
        self.once, self.twice = asyncio.Event(), asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._tell)

    def _tell(self) -> None:
        (self.twice if self.once.is_set() else self.once).set()


async def _serve(settings: ServerSettings, warden: WardenClient) -> int:
    told = _Told()
    stop_metrics: Callable[[], None] | None = None
    background: set[asyncio.Task[object]] = set()
    try:
        await warden.connect()
        tokens = Tokens(settings.token_file) if settings.token_file else None
        compilers = Compilers(settings.compiler_dirs)
        most_connections = connections.raise_descriptor_limit()
        worker = Worker(settings)
        runner = JobRunner(settings, compilers, warden)
        service = Service(worker, compilers, runner, tokens, _header_runner(settings, compilers, warden, runner))
        server = grpc.aio.server(
            interceptors=[Gate(settings.allow, tokens)],
            options=[
                *_OPTIONS,
                ("grpc.max_allowed_incoming_connections", most_connections),
                ("grpc.max_receive_message_length", settings.max_input_bytes + _MESSAGE_OVERHEAD_BYTES),
            ],
        )
        server.add_generic_rpc_handlers(service.handlers())
        health_servicer = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(health_servicer, server)
        services = (methods.COMPILATION_SERVICE, methods.INFORMATION_SERVICE)
        reflection.enable_server_reflection((*services, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
        ports = _listen(server, settings)
        if settings.metrics_address:
            stop_metrics = worker.metrics.serve(settings.metrics_address)
        for name in services:
            await health_servicer.set(name, health_pb2.HealthCheckResponse.SERVING)
        await server.start()
        background.add(asyncio.create_task(_identify_all(compilers)))
        background.add(asyncio.create_task(connections.keep_shares(ports, most_connections)))
        log.info("%d slots, from %s", worker.capacity.now().count, worker.capacity.now().reason)
        _notify("READY=1")
        status = await _until_told(told, server, worker, health_servicer, warden)
    finally:
        for task in background:
            task.cancel()
        if stop_metrics is not None:
            await asyncio.to_thread(stop_metrics)
        await warden.close()
    return status


async def _until_told(
    told: _Told,
    server: grpc.aio.Server,
    worker: Worker,
    health_servicer: health.aio.HealthServicer,
    warden: WardenClient,
) -> int:
    first = asyncio.create_task(told.once.wait())
    second = asyncio.create_task(told.twice.wait())
    lost = asyncio.create_task(warden.lost.wait())
    try:
        await asyncio.wait([first, lost], return_when=asyncio.FIRST_COMPLETED)
        if warden.lost.is_set():
            log.critical("the process that starts compilers has ended, so the server ends")
            await server.stop(0)
            return _EXIT_FAULT
        _notify("STOPPING=1")
        log.info("ending: %d jobs run; new ones are refused", worker.slots.taken)
        await health_servicer.enter_graceful_shutdown()
        drained = asyncio.create_task(worker.drain())
        await asyncio.wait([drained, second, lost], return_when=asyncio.FIRST_COMPLETED)
        drained.cancel()
        if told.twice.is_set():
            log.warning("second signal: %d jobs are stopped", worker.slots.running)
        await server.stop(0 if told.twice.is_set() else _ANSWERS_GRACE_S)
        return 0
    finally:
        for task in (first, second, lost):
            task.cancel()


def _listen(server: grpc.aio.Server, settings: ServerSettings) -> set[int]:
    """Binds every address. Returns the TCP ports; raises ConfigurationError."""
    ports = set()
    for address in settings.listen_address:
        try:
            if settings.tls_certificate and settings.tls_key and not address.startswith("unix:"):
                # Of each address its own: gRPC asks them for their first certificates only once.
                files = settings.tls_certificate, settings.tls_key, settings.tls_client_ca
                port = server.add_secure_port(address, tls_credentials(*files))
            else:
                port = server.add_insecure_port(address)
        except RuntimeError as error:
            raise ConfigurationError(f"--listen-address {address}: cannot listen there: {error}") from error
        if address.startswith("unix:"):
            # As on loopback, whoever is on this machine may connect; the directory can forbid it.
            os.chmod(address.removeprefix("unix:"), 0o666)  # noqa: S103
            log.info("listens on %s", address)
        else:
            ports.add(port)
            log.info("listens on %s:%d", address.rpartition(":")[0], port)
    return ports


def _header_runner(
    settings: ServerSettings, compilers: Compilers, warden: WardenClient, runner: JobRunner
) -> HeaderRunner | None:
    """None where header jobs are not wanted, or nothing would keep their sources from reading what they like.

    Raises ConfigurationError.
    """
    directory = settings.header_store
    if directory is None:
        return None
    if not landlock.abi():
        log.warning("no header jobs: this kernel has no Landlock, so a source could read every file of the server")
        return None
    try:
        os.makedirs(directory, mode=0o700, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"--header-store {directory}: {error.strerror}") from error
    if not os.access(directory, os.W_OK | os.X_OK):
        raise ConfigurationError(f"--header-store {directory}: user {user_name()} cannot write there")
    size_bytes = settings.header_store_mib * _MIB
    store = Store(directory, size_bytes, size_bytes // 2)
    return HeaderRunner(settings, compilers, warden, runner, store)


async def _identify_all(compilers: Compilers) -> None:
    """Gets to know the compilers before the first job asks."""
    for name in compilers.names():
        with contextlib.suppress(CallRefused):
            await compilers.resolve(name)


def _notify(state: str) -> None:
    """Tells systemd (Type=notify), sd_notify(3)."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notifier:
        notifier.connect("\0" + address[1:] if address.startswith("@") else address)
        notifier.send(state.encode())
