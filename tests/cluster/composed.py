"""The cluster of compose.yaml, as a test sees it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Self

import docker
import pytest
from docker.models.containers import Container
from testcontainers.compose import DockerCompose

from tests.cluster.cluster import COMPOSE_PROJECT, ROOT
from tests.cluster.driving import BUILD_LIMIT_S

NOTHING: Mapping[str, str] = {}

PORTS = [f"WORKER_{number}_{name}" for number in (1, 2, 3) for name in ("PORT", "STATS_PORT")] + [
    "GATEWAY_PORT",
    "WORKER_5_PORT",
]


class Cluster:
    def __init__(self, compose: DockerCompose, client: docker.DockerClient) -> None:
        self._compose = compose
        self._client = client

    def host_spec(self, service: str) -> str:
        """The DISTCC_AUTO_HOSTS entry with which this machine reaches a worker."""
        jobs = self._compose.get_service_port(service, 3632)
        return f"127.0.0.1:{jobs}:{self._compose.get_service_port(service, 3633)}"

    def grpc_spec(self, service: str) -> str:
        """The DISTCC_AUTO_HOSTS entry with which this machine reaches a compile server."""
        return f"grpc://127.0.0.1:{self._compose.get_service_port(service, 3634)}"

    def is_healthy(self, service: str) -> bool:
        return bool(self.container(service).attrs["State"]["Health"]["Status"] == "healthy")

    def address(self, service: str) -> str:
        networks = self.container(service).attrs["NetworkSettings"]["Networks"]
        return str(next(iter(networks.values()))["IPAddress"])

    def container(self, service: str) -> Container:
        return self._client.containers.get(f"{COMPOSE_PROJECT}-{service}-1")

    def run(
        self, *command: str, source: str = "", environ: Mapping[str, str] = NOTHING
    ) -> subprocess.CompletedProcess[str]:
        """`docker compose run client COMMAND`, with the directory `source` as its working directory."""
        return subprocess.run(
            run_in_client(command, source, environ), cwd=ROOT, capture_output=True, text=True, timeout=200, check=False
        )


def run_in_client(command: Sequence[str], source: str, environ: Mapping[str, str]) -> list[str]:
    words = ["docker", "compose", "run", "--rm", "-T"]
    words += ["--volume", f"{source}:/src"] if source else []
    words += [word for name, value in environ.items() for word in ("--env", f"{name}={value}")]
    return [*words, "client", *command]


class ClientBuild:
    """A build in the client that goes on while the test does something; a context manager that ends it."""

    def __init__(self, source: str, output: str, command: Sequence[str], environ: Mapping[str, str]) -> None:
        self._command = run_in_client(command, source, environ)
        self._output = output
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with open(self._output, "wb") as output:
            self._process = subprocess.Popen(
                self._command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait()

    def status(self, limit_s: float = BUILD_LIMIT_S) -> int:
        """The exit status of the build, once it has ended."""
        assert self._process is not None
        try:
            return self._process.wait(limit_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the build has not ended after {limit_s:g} s:\n{self.output()}") from None

    def output(self) -> str:
        with open(self._output, encoding="utf-8", errors="replace") as file:
            return file.read()


@contextmanager
def running(client: docker.DockerClient) -> Iterator[Cluster]:
    """Starts it on free ports; afterwards nothing of it is left."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COMPOSE_PROJECT_NAME", COMPOSE_PROJECT)
        for name in PORTS:
            patch.setenv(name, "")  # any free port
        with DockerCompose(ROOT, profiles=["client", "distplusplus"], wait=False) as compose:
            yield Cluster(compose, client)
    label = f"com.docker.compose.project={COMPOSE_PROJECT}"
    assert client.containers.list(all=True, filters={"label": label}) == []
    assert client.networks.list(filters={"label": label}) == []
    assert client.volumes.list(filters={"label": label}) == []
