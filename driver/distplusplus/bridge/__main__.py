"""The bridge's process: `python -m distplusplus.bridge FD`, started by distcc_auto/reach/grpc.py.

On FD, a socket to the driver, it gets one line of JSON with the hosts, answers one line with an address or a reason for
each, and serves until the driver closes it. Each host has an address of its own, on which it looks like a
`distccd --stats`.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import signal
import socket
import sys
from collections.abc import Mapping
from typing import Any

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

from distcc_common import messages
from distcc_common.errors import ConfigurationError
from distplusplus.agent.agent_settings import ServerSettings, Settings, as_configured, load
from distplusplus.agent.local_compilers import LocalCompilers, UnknownCompilerError, find_in_path
from distplusplus.agent.servers.grpc_worker import GrpcWorker
from distplusplus.agent.servers.protocol import (
    JobRefusedError,
    Mismatch,
    PreparedCompile,
    WorkerFullError,
    WorkerLostError,
)
from distplusplus.bridge import distcc_wire as wire
from distplusplus.compiler import classify as arguments
from distplusplus.compiler.classify import Local
from distplusplus.protocol import compression
from distplusplus.protocol import distplusplus_pb2 as pb

_ATTEMPTS = 3
_STATS_TIMEOUT_S = 10.0


class NotDoneError(Exception):
    """Raised when a job cannot be done over the bridge; distcc then does it here."""


class BridgedServer:
    """One worker: a listening address for jobs and one for statistics."""

    def __init__(self, server: GrpcWorker, settings: Settings, compilers: LocalCompilers) -> None:
        self._server = server
        self._settings = settings
        self._compilers = compilers
        self._said: set[str] = set()

    async def take_job(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serves one connection of a distcc client, which has one job."""
        try:
            request = await wire.read_request(reader)
            job = asyncio.ensure_future(self._compile(request))
            gone = asyncio.ensure_future(reader.read(1))
            await asyncio.wait({job, gone}, return_when=asyncio.FIRST_COMPLETED)
            gone.cancel()
            if job.done():
                writer.write(job.result())
                await writer.drain()
            else:
                job.cancel()  # the client was killed: so is its compiler
                await asyncio.wait({job})
        except NotDoneError as error:
            self._say(str(error))
        except (wire.WireError, OSError) as error:
            messages.trace(f"{self._server.name}: {error}")
        finally:
            writer.close()

    async def tell_statistics(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """What `distccd --stats` would answer."""
        with contextlib.suppress(OSError, TimeoutError, WorkerLostError, asyncio.IncompleteReadError):
            async with asyncio.timeout(_STATS_TIMEOUT_S):
                await reader.readuntil(b"\r\n\r\n")
                await self._server.refresh(self._settings)
            writer.write(self._statistics())
            await writer.drain()
        writer.close()

    def _statistics(self) -> bytes:
        server = self._server
        values = {"dcc_max_kids": server.slots, "dcc_current_load": server.active + server.others_load}
        values |= dict.fromkeys(("dcc_load1", "dcc_load2", "dcc_load3"), server.others_load)
        values["dcc_compile_ok"] = server.jobs_done
        lines = [f"{name} {value}\n" for name, value in values.items()]
        if server.free_memory_mib is not None:
            lines.append(f"dcc_free_mem {server.free_memory_mib} MB\n")
        return f"HTTP/1.0 200 OK\n\n<distccstats>\n{''.join(lines)}</distccstats>\n".encode()

    async def _compile(self, request: wire.Request) -> bytes:
        """The reply to a job. Raises NotDoneError."""
        prepared = await self._prepare(request)
        name = prepared.command.source
        answer = await self._send(prepared)
        if answer.returnCode == 0 and not answer.HasField("outputFile"):
            raise NotDoneError(f"{name}: no object came back")
        try:
            object_file = await asyncio.to_thread(compression.unpack, answer.outputFile, wire.MAX_SOURCE_BYTES)
        except compression.CompressionError as error:
            raise NotDoneError(f"{name}: the object came damaged: {error}") from None
        return wire.reply(
            request.version, answer.returnCode, answer.stderr.encode(), answer.stdout.encode(), object_file
        )

    async def _prepare(self, request: wire.Request) -> PreparedCompile:
        if not request.argv:
            raise NotDoneError("a job without a command")
        path = find_in_path(os.path.basename(request.argv[0]), os.environ.get("PATH", os.defpath))
        if path is None:
            raise NotDoneError(f"{request.argv[0]} is not in PATH here, so it cannot be compared with the worker's")
        try:
            compiler = await self._compilers.find(path)
            command = arguments.classify(path, request.argv[1:], {}, clang=compiler.clang)
            if isinstance(command, Local) or command.further_outputs:
                reason = command.reason if isinstance(command, Local) else "it has further outputs"
                raise NotDoneError(f"compiling here: {reason}")
            found = await self._server.find_compiler(compiler, self._settings)
        except UnknownCompilerError as error:
            raise NotDoneError(str(error)) from None
        except WorkerLostError as error:
            raise NotDoneError(f"{error}; its jobs go elsewhere") from None
        if isinstance(found, Mismatch):
            raise NotDoneError(f"{found.reason}; its jobs are done here")
        content = await asyncio.to_thread(
            compression.compress, request.source, self._settings.compress, self._settings.compression_level
        )
        file = pb.File(compressionType=self._settings.compress, content=content)
        # distcc does not tell the directory. GCC's preprocessor has put it into the text where it matters.
        return PreparedCompile(command, compiler, file, "")

    async def _send(self, prepared: PreparedCompile) -> pb.CompileAnswer:
        self._server.active += 1
        try:
            for _ in range(_ATTEMPTS):
                try:
                    token = await self._server.reserve(self._settings)
                    return await self._server.run(token, prepared, self._settings)
                except WorkerFullError as error:
                    reason = str(error)
                except WorkerLostError as error:
                    raise NotDoneError(f"{error}; its jobs go elsewhere") from None
                except JobRefusedError as error:
                    raise NotDoneError(f"{error}; done here") from None
            raise NotDoneError(f"{_ATTEMPTS} reservations failed: {reason}; done here")
        finally:
            self._server.active -= 1

    def _say(self, text: str) -> None:
        """Tells the user, each thing once."""
        if text not in self._said:
            self._said.add(text)
            messages.say(f"{self._server.name}: {text}")


async def _serve(control: socket.socket) -> None:
    reader, writer = await asyncio.open_connection(sock=control)
    order = json.loads(await reader.readline())
    if order["trace"]:
        messages.enable_tracing()
    try:
        settings = dataclasses.replace(load(os.environ), connect_timeout_s=order["connect_timeout_s"])
    except ConfigurationError as error:
        results: list[Mapping[str, Any]] = [{"cause": str(error), "remedy": "see distplusplus.toml(5)"}] * len(
            order["hosts"]
        )
        servers: list[GrpcWorker] = []
    else:
        servers = [GrpcWorker(_server_settings(host, settings), lambda: None) for host in order["hosts"]]
        compilers = LocalCompilers()
        results = await asyncio.gather(
            *(_open(server, number, settings, compilers) for number, server in enumerate(servers))
        )
    writer.write(json.dumps(results).encode() + b"\n")
    await writer.drain()
    await reader.read()
    for server in servers:
        await server.close()


def _server_settings(host: Mapping[str, Any], settings: Settings) -> ServerSettings:
    """Certificates and tokens are those that distplusplus.toml has for this server."""
    return as_configured(ServerSettings(host["target"], tls=host["tls"], text=host["text"]), settings.servers)


async def _open(server: GrpcWorker, number: int, settings: Settings, compilers: LocalCompilers) -> dict[str, Any]:
    """Asks a server whether it is there, and gives it addresses of its own."""
    try:
        await server.refresh(settings)
    except WorkerLostError:
        assert server.trouble  # noqa: S101  (it says why it was lost)
        return dataclasses.asdict(server.trouble)
    bridged = BridgedServer(server, settings, compilers)
    # Linux has all of 127.0.0.0/8 on loopback: an address for each worker keeps distcc's locks and logs apart.
    address = f"127.81.{number // 250}.{number % 250 + 1}"
    jobs = await asyncio.start_server(bridged.take_job, address, 0, backlog=1024)
    statistics = await asyncio.start_server(bridged.tell_statistics, address, 0)
    ports = [listener.sockets[0].getsockname()[1] for listener in (jobs, statistics)]
    return {"address": address, "distcc_port": ports[0], "stats_port": ports[1]}


def main() -> None:
    # Ctrl-C ends the build; the driver then closes our socket. Until it does, jobs go on.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    with contextlib.suppress(ConnectionError):  # the driver was killed
        asyncio.run(_serve(socket.socket(fileno=int(sys.argv[1]))))


if __name__ == "__main__":
    main()
