"""Two network namespaces with a cable between them that can be unplugged."""

from __future__ import annotations

import subprocess
from types import TracebackType
from typing import Self

CLIENT_ADDRESS = "198.18.0.1"
WORKER_ADDRESS = "198.18.0.2"


class Cable:
    """The namespaces of a client and of a worker; commands run there behind the words `in_client`, `in_worker`."""

    def __init__(self) -> None:
        self._client = _namespace()
        self._worker = _namespace()
        self.in_client = ("nsenter", "--net", "--target", str(self._client.pid))
        self.in_worker = ("nsenter", "--net", "--target", str(self._worker.pid))
        ends = ["ip", "link", "add", "cable", "netns", str(self._client.pid), "type", "veth"]
        _run(*ends, "peer", "name", "cable", "netns", str(self._worker.pid))
        for inside, address in ((self.in_client, CLIENT_ADDRESS), (self.in_worker, WORKER_ADDRESS)):
            _run(*inside, "ip", "address", "add", f"{address}/30", "dev", "cable")
        self.plug()

    def plug(self) -> None:
        for inside in (self.in_client, self.in_worker):
            _run(*inside, "ip", "link", "set", "cable", "up")

    def unplug(self) -> None:
        """Packets get lost from now on, without a word to either side."""
        _run(*self.in_worker, "ip", "link", "set", "cable", "down")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for namespace in (self._client, self._worker):
            namespace.kill()
            namespace.communicate()


def _namespace() -> subprocess.Popen[bytes]:
    """A process in a network namespace of its own; the namespace ends with it."""
    script = "ip link set lo up && echo ready && exec sleep 300"
    process = subprocess.Popen(["unshare", "--net", "sh", "-c", script], stdout=subprocess.PIPE)
    assert process.stdout
    assert process.stdout.readline() == b"ready\n"
    return process


def _run(*command: str) -> None:
    subprocess.run(command, check=True)
