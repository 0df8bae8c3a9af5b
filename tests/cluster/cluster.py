"""Real workers in containers, in a network whose addresses stay the same over restarts."""

from __future__ import annotations

import ipaddress
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import docker
from docker.errors import NotFound
from docker.models.containers import Container
from docker.types import EndpointConfig, IPAMConfig, IPAMPool
from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer

from distcc_auto.answers import Ready, Refused
from distcc_auto.hosts import TcpHost
from distcc_auto.probe import probe

# Its reaper is an image from a registry. `remove_left_overs` does that work, also after a run that was killed.
testcontainers_config.ryuk_disabled = True

WORKER_IMAGE = "distcc-auto-worker:bookworm"
OTHER_GCC_IMAGE = "distcc-auto-worker:bookworm-gcc-11"
CLIENT_IMAGE = "distcc-auto-client:bookworm"
NETWORK_TOOLS_IMAGE = "distcc-auto-test-network-tools"

# Its value is the process that runs the tests.
LABEL = "distcc-auto.cluster-test"
START_S = 30.0
COMPOSE_PREFIX = "distcc-auto-test-"
COMPOSE_PROJECT = f"{COMPOSE_PREFIX}{os.getpid()}"
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LOGS = os.path.join(ROOT, "build", "cluster-logs")

T = TypeVar("T")


def wait_until(what: str, limit_s: float, condition: Callable[[], T]) -> T:
    """The first true value of `condition`; fails with `what` when there is none in time."""
    deadline_s = time.monotonic() + limit_s
    while not (value := condition()):
        if time.monotonic() > deadline_s:
            raise AssertionError(f"waited {limit_s:g} s for {what}")
        time.sleep(0.05)
    return value


def log_directory() -> str:
    """Where the running test's logs are kept when it fails."""
    name = os.environ["PYTEST_CURRENT_TEST"].rpartition(" ")[0].rpartition("::")[2]
    return os.path.join(LOGS, re.sub(r"[^\w.-]+", "_", name))


def keep_log(container: Container) -> None:
    container.reload()
    addresses = [network["IPAddress"] for network in container.attrs["NetworkSettings"]["Networks"].values()]
    os.makedirs(log_directory(), exist_ok=True)
    name = "-".join([container.name or "", *filter(None, addresses)])
    with open(os.path.join(log_directory(), f"{name}.log"), "wb") as file:
        file.write(f"state: {container.attrs['State']}\n".encode())
        file.write(container.logs(timestamps=True))


class Worker(DockerContainer):
    """A distccd worker at a fixed address, reached from this machine over the network's bridge."""

    def __init__(self, network: Network, address: str, image: str = WORKER_IMAGE, **kwargs: Any) -> None:
        environment = {"DISTCC_WORKER_ALLOW": "attached"} | kwargs.pop("environment", {})
        super().__init__(image)
        self.address = address
        self.with_envs(**environment)
        self.with_tmpfs_mount("/tmp")
        for here, there in kwargs.pop("mounted", {}).items():
            self.with_volume_mapping(here, there, "ro")
        defaults = {
            "read_only": True,
            "cap_drop": ["ALL"],
            "security_opt": ["no-new-privileges"],
            "mem_limit": "4g",
        }
        endpoint = EndpointConfig("1.41", ipv4_address=address)
        self.with_kwargs(
            **defaults | kwargs,
            labels={LABEL: str(os.getpid())},
            network=network.name,
            networking_config={network.name: endpoint},
        )

    @property
    def spec(self) -> str:
        """This worker's entry in DISTCC_AUTO_HOSTS."""
        return f"{self.address}:3632:3633"

    @property
    def container(self) -> Container:
        container = self.get_wrapped_container()
        assert container is not None
        return container

    def wait_until_ready(self) -> None:
        wait_until(f"worker {self.address} to answer", START_S, lambda: isinstance(self.ask(), Ready))

    def keep_log(self) -> None:
        """To be called before `stop`, where a test fails."""
        if self._container is not None:
            keep_log(self._container)

    def stop(self, force: bool = True, delete_volume: bool = True) -> None:
        """Removes the container, whatever state a test has left it in."""
        if self._container is not None:
            with suppress(NotFound):
                self._container.remove(force=force, v=delete_volume)

    def ask(self) -> Ready | Refused:
        (answer,) = probe([TcpHost(self.address, 3632, 3633, self.spec)], 5, 10)
        return answer

    def jobs_done(self) -> int:
        answer = self.ask()
        assert isinstance(answer, Ready), str(answer)
        assert answer.stats.compile_ok is not None
        return answer.stats.compile_ok

    def is_compiling(self) -> bool:
        return any("cc1" in " ".join(process) for process in self.container.top()["Processes"] or [])

    def run(self, *command: str, user: str = "") -> str:
        """The output of `command` in the container, which must succeed."""
        status, output = self.container.exec_run(list(command), user=user)
        assert isinstance(output, bytes)
        assert status == 0, output.decode()
        return output.decode()


class Network:
    """A bridge network with a subnet of its own, so that a worker keeps its address over a restart."""

    def __init__(self, client: docker.DockerClient) -> None:
        self._client = client
        labels = {LABEL: str(os.getpid())}
        # Docker knows best which subnet is free, but lets addresses be chosen only in a subnet that was asked for.
        name = f"distcc-auto-test-{os.getpid()}-{time.monotonic_ns()}"
        probe_network = client.networks.create(name, driver="bridge", labels=labels)
        probe_network.reload()
        subnet = probe_network.attrs["IPAM"]["Config"][0]["Subnet"]
        probe_network.remove()
        pool = IPAMConfig(pool_configs=[IPAMPool(subnet=subnet)])
        self._network = client.networks.create(name, driver="bridge", labels=labels, ipam=pool)
        self.name = name
        self.subnet = ipaddress.ip_network(subnet)
        self._next = 10

    @property
    def gateway(self) -> str:
        """This machine's own address in the network."""
        return str(self.subnet[1])

    def free_address(self) -> str:
        self._next += 1
        return str(self.subnet[self._next])

    @contextmanager
    def worker(self, image: str = WORKER_IMAGE, *, address: str = "", **kwargs: Any) -> Iterator[Worker]:
        worker = Worker(self, address or self.free_address(), image, **kwargs)
        try:
            worker.start()
            worker.wait_until_ready()
            yield worker
        except BaseException:
            worker.keep_log()
            raise
        finally:
            worker.stop()

    def drop_answers_of(self, worker: Worker) -> None:
        """What `worker` sends to this machine is lost from now on, without a word to either side."""
        self._client.containers.run(
            NETWORK_TOOLS_IMAGE,
            ["route", "add", "blackhole", f"{self.gateway}/32"],
            network_mode=f"container:{worker.container.id}",
            cap_add=["NET_ADMIN"],
            remove=True,
            labels={LABEL: str(os.getpid())},
        )

    def remove(self) -> None:
        self._network.remove()


def remove_left_overs(client: docker.DockerClient, own: bool) -> None:
    """Removes what this process started (`own`), or what test runs that are gone have left behind."""

    def is_meant(labels: dict[str, str] | None) -> bool:
        labels = labels or {}
        pid = labels.get(LABEL) or labels.get("com.docker.compose.project", "").removeprefix(COMPOSE_PREFIX)
        return pid == str(os.getpid()) if own else pid.isdigit() and not os.path.exists(f"/proc/{pid}")

    for container in client.containers.list(all=True):
        if is_meant(container.labels):
            container.remove(force=True, v=True)
    for network in client.networks.list():
        if is_meant(network.attrs["Labels"]):
            network.remove()
    for volume in client.volumes.list():
        if is_meant(volume.attrs["Labels"]):
            volume.remove()
