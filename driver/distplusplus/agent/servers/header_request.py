"""Header jobs for one worker: what it has been told of inputs, and what it lacks."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from distplusplus.agent.headers.header_jobs import HeaderJob, content_of
from distplusplus.protocol import compression
from distplusplus.protocol import distplusplus_pb2 as pb

_TABLE_NAME_BYTES = 16

# Path, digest and target: a file, a link or a directory.
_Input = tuple[str, bytes, str]


class InputTable:
    """The numbers under which one worker knows inputs."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begins again, for a worker that has forgotten."""
        self.name = os.urandom(_TABLE_NAME_BYTES)
        self._numbers: dict[_Input, int] = {}
        self._confirmed: set[int] = set()

    def describe(self, job: HeaderJob, into: pb.HeaderJob) -> None:
        """Sets the table's part of a request."""
        into.table = self.name
        for entry in _inputs(job):
            number = self._numbers.setdefault(entry, len(self._numbers))
            into.input.append(number)
            if number not in self._confirmed:
                path, digest, target = entry
                into.newInput.add(number=number, path=path, digest=digest, target=target)

    def confirm(self, request: pb.HeaderJob) -> None:
        """The worker has answered, so it knows what this request told it."""
        if request.table == self.name:
            self._confirmed.update(given.number for given in request.newInput)


def add_contents(job: HeaderJob, digests: Iterable[bytes], request: pb.HeaderJob, level: int) -> None:
    """Adds what a worker lacks. Raises DoubtError if a file has changed meanwhile."""
    paths = {file.digest: file.path for _, file in job.inputs.files}
    del request.content[:]
    for digest in digests:
        data = content_of(paths[digest], digest)
        request.content.add(digest=digest, file=compression.pack("", data, pb.zstd, level))


def _inputs(job: HeaderJob) -> Iterator[_Input]:
    for path in job.inputs.directories:
        yield path, b"", ""
    for path, file in job.inputs.files:
        yield path, file.digest, ""
    for path, target in job.inputs.links:
        yield path, b"", target
