"""The bridge's conversation with the driver (distcc_auto/reach/grpc.py), for as long as the build runs."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import socket
from collections.abc import Mapping
from typing import Any

from distcc_common import messages
from distcc_common.errors import ConfigurationError
from distplusplus.agent.agent_settings import AgentSettings, WorkerSettings, as_configured, load
from distplusplus.agent.local_compilers import LocalCompilers
from distplusplus.agent.local_slots import LocalSlots
from distplusplus.agent.servers.grpc_worker import GrpcWorker
from distplusplus.agent.servers.remote_worker import WorkerLostError
from distplusplus.agent.servers.scheduler import Scheduler
from distplusplus.bridge.bridged_worker import open_addresses
from distplusplus.bridge.job import Context

_MAX_MESSAGES = 100


async def serve(control: socket.socket) -> None:
    """One line of JSON from the driver names the hosts; one line answers with an address or a reason for each.

    Then it serves until the driver closes the connection.
    """
    reader, writer = await asyncio.open_connection(sock=control)
    order = json.loads(await reader.readline())
    if order["trace"]:
        messages.enable_tracing()
    hosts = order["hosts"]
    scheduler = Scheduler(GrpcWorker)
    try:
        settings = dataclasses.replace(load(os.environ), connect_timeout_s=order["connect_timeout_s"])
    except ConfigurationError as error:
        results: list[Mapping[str, Any]] = [{"cause": str(error), "remedy": "see distplusplus.toml(5)"}] * len(hosts)
    else:
        servers = tuple(_server_settings(host, settings) for host in hosts)
        results = await _open_all(dataclasses.replace(settings, servers=servers), scheduler)
    writer.write(json.dumps(results).encode() + b"\n")
    await writer.drain()
    await reader.read()
    await scheduler.close()


def _server_settings(host: Mapping[str, Any], settings: AgentSettings) -> WorkerSettings:
    """Certificates and tokens are those that distplusplus.toml has for this server."""
    return as_configured(WorkerSettings(host["target"], tls=host["tls"], text=host["text"]), settings.servers)


async def _open_all(settings: AgentSettings, scheduler: Scheduler) -> list[Mapping[str, Any]]:
    compilers, slots = LocalCompilers(), LocalSlots()

    async def open_one(number: int, server: WorkerSettings) -> Mapping[str, Any]:
        own = dataclasses.replace(settings, servers=(server,))
        (worker,) = scheduler.workers(own)
        assert isinstance(worker, GrpcWorker)  # noqa: S101  (it was made by the scheduler above)
        try:
            await worker.refresh(own)
        except WorkerLostError:
            assert worker.trouble  # noqa: S101  (it says why it was lost)
            return dataclasses.asdict(worker.trouble)
        context = Context(worker, own, settings, scheduler, compilers, slots, _Teller(worker.name).tell)
        return await open_addresses(worker, context, number)

    return await asyncio.gather(*(open_one(number, server) for number, server in enumerate(settings.servers)))


class _Teller:
    """Tells the user what concerns a worker, each thing once."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._said: set[str] = set()

    def tell(self, text: str) -> None:
        """Names the worker if the text does not."""
        if text in self._said or len(self._said) >= _MAX_MESSAGES:
            return
        self._said.add(text)
        messages.say(text if text.startswith(f"{self._name}: ") else f"{self._name}: {text}")
