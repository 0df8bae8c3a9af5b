"""One worker behind the bridge: a listening address for jobs and one for statistics, as a `distccd --stats` has."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping

from distplusplus.agent.servers.grpc_worker import GrpcWorker
from distplusplus.agent.servers.remote_worker import WorkerLostError
from distplusplus.bridge import job
from distplusplus.bridge.job import Context

_STATS_TIMEOUT_S = 10.0
_NO_STATISTICS = (OSError, WorkerLostError, asyncio.IncompleteReadError, asyncio.LimitOverrunError)


async def open_addresses(worker: GrpcWorker, context: Context, number: int) -> dict[str, object]:
    """Listens for the worker, the `number`th of this bridge. Returns what the driver is told."""

    async def take_job(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await job.serve(reader, writer, context)

    async def tell_statistics(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(
            OSError, TimeoutError, WorkerLostError, asyncio.IncompleteReadError, asyncio.LimitOverrunError
        ):
            async with asyncio.timeout(_STATS_TIMEOUT_S):
                await reader.readuntil(b"\r\n\r\n")
                await worker.refresh(context.settings)
            writer.write(_statistics(worker))
            await writer.drain()
        writer.close()

    # Linux has all of 127.0.0.0/8 on loopback. An address for each worker keeps distcc's locks and logs apart.
    address = f"127.81.{number // 250}.{number % 250 + 1}"
    jobs = await asyncio.start_server(take_job, address, 0, backlog=1024)
    statistics = await asyncio.start_server(tell_statistics, address, 0)
    ports = [listener.sockets[0].getsockname()[1] for listener in (jobs, statistics)]
    return {"address": address, "distcc_port": ports[0], "stats_port": ports[1]}


def _statistics(worker: GrpcWorker) -> bytes:
    """What `distccd --stats` would answer (distcc 3.4, stats.c)."""
    values: Mapping[str, int] = {
        "dcc_max_kids": worker.slots,
        "dcc_current_load": worker.active + worker.others_load,
        **dict.fromkeys(("dcc_load1", "dcc_load2", "dcc_load3"), worker.others_load),
        "dcc_compile_ok": worker.jobs_done,
    }
    lines = [f"{name} {value}\n" for name, value in values.items()]
    if worker.free_memory_mib is not None:
        lines.append(f"dcc_free_mem {worker.free_memory_mib} MB\n")
    return f"HTTP/1.0 200 OK\n\n<distccstats>\n{''.join(lines)}</distccstats>\n".encode()
