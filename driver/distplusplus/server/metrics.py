"""Prometheus metrics, served over HTTP when an address is given."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, start_http_server
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from distcc_common.errors import ConfigurationError
from distplusplus.protocol import distplusplus_pb2 as pb
from distplusplus.server.server_settings import split_host_port

_SECONDS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300)


class Metrics:
    """Counts jobs. `capacity` is asked when the metrics are read."""

    def __init__(self, capacity: Callable[[], pb.Capacity]) -> None:
        self.registry = CollectorRegistry()
        self.jobs = Counter("distplusplusd_jobs", "Distribute calls by result", ("result",), registry=self.registry)
        self.refusals = Counter(
            "distplusplusd_refusals", "Refused calls by reason", ("reason",), registry=self.registry
        )
        self.compile_s = Histogram(
            "distplusplusd_compile_seconds", "Time of the compiler", buckets=_SECONDS, registry=self.registry
        )
        self.transfer_s = Histogram(
            "distplusplusd_transfer_seconds", "Time of the upload", buckets=_SECONDS, registry=self.registry
        )
        self.queue_s = Histogram(
            "distplusplusd_queue_seconds", "Time waited for a slot", buckets=_SECONDS, registry=self.registry
        )
        self.input_bytes = Counter("distplusplusd_input_bytes", "Source taken, decompressed", registry=self.registry)
        self.output_bytes = Counter(
            "distplusplusd_output_bytes", "Objects made, before compression", registry=self.registry
        )
        self.registry.register(_CapacityCollector(capacity))

    def serve(self, address: str) -> Callable[[], None]:
        """Serves on `address` in a thread; returns what ends it. Raises ConfigurationError."""
        host, port = split_host_port(address)
        try:
            server, thread = start_http_server(port, host, registry=self.registry)
        except OSError as error:
            raise ConfigurationError(f"--metrics-address {address}: {error.strerror or error}") from error

        def stop() -> None:
            server.shutdown()
            server.server_close()
            thread.join()

        return stop


class _CapacityCollector(Collector):
    def __init__(self, capacity: Callable[[], pb.Capacity]) -> None:
        self._capacity = capacity

    def collect(self) -> Iterable[Any]:
        now = self._capacity()
        for name, help_text, value in (
            ("slots", "Slots now", now.slots),
            ("running_jobs", "Compilers running", now.runningJobs),
            ("reserved_slots", "Slots reserved for a job that has not come", now.reservedSlots),
            ("waiting_reservations", "Reserve calls waiting for a slot", now.queuedReservations),
            ("cpus", "CPUs that the server may use", now.cpus),
            ("free_memory_mebibytes", "Memory that can still be taken", now.freeMemoryMib),
            ("draining", "1 while the server ends", int(now.draining)),
        ):
            yield GaugeMetricFamily(f"distplusplusd_{name}", help_text, value=value)
