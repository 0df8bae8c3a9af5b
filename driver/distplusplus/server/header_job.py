"""A header job: the client's files are laid below a root, and the compiler runs there.

Everything that the client says is checked before a file is written: names are absolute and plain, and links are made
last, so that nothing is written through one. Reading is confined by Landlock: without it, header jobs are not offered.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from distplusplus.cas.store import Store, StoreError
from distplusplus.compiler import header_arguments
from distplusplus.compiler.file_names import check_path
from distplusplus.compiler.header_arguments import ROOT_MARK
from distplusplus.compiler.search_path import system_root
from distplusplus.protocol import compression
from distplusplus.protocol import distplusplus_pb2 as pb
from distplusplus.protocol.refusals import CallRefused
from distplusplus.server.job_files import Stop

_MAX_TABLES: Final = 64
_MAX_INPUTS: Final = 200_000
_MAX_JOB_INPUTS: Final = 40_000
_DIGEST_BYTES: Final = 32
_TABLE_NAME_BYTES: Final = 16
# The names of what a compile writes, in the job's own directory.
OUTPUT, DEPENDENCIES = "o", "d"


@dataclass(frozen=True, slots=True)
class Input:
    """A file, a symbolic link or a directory of the client's."""

    path: str
    digest: bytes
    target: str


class Tables:
    """What clients have described before, so that they need not do it again. May be used by several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tables: OrderedDict[tuple[str, bytes], dict[int, Input]] = OrderedDict()

    def inputs(self, owner: str, job: pb.HeaderJob) -> list[Input] | None:
        """The inputs of a job; None if one of them is not known. Raises CallRefused."""
        if len(job.table) != _TABLE_NAME_BYTES or len(job.input) > _MAX_JOB_INPUTS:
            raise _malformed("table or number of inputs")
        with self._lock:
            return self._inputs(owner, job)

    def _inputs(self, owner: str, job: pb.HeaderJob) -> list[Input] | None:
        key = owner, bytes(job.table)
        table = self._tables.setdefault(key, {})
        self._tables.move_to_end(key)
        if len(self._tables) > _MAX_TABLES:
            self._tables.popitem(last=False)
        for given in job.newInput:
            table[given.number] = _checked_input(given)
        if len(table) > _MAX_INPUTS:
            del self._tables[key]
            return None
        try:
            return [table[number] for number in job.input]
        except KeyError:
            return None


@dataclass(frozen=True)
class Laid:
    """A job whose files lie below `root`: what is run, and where."""

    argv: tuple[str, ...]
    directory: str
    recorded_directory: str
    root: str
    input_bytes: int


def store_contents(store: Store, owner: str, job: pb.HeaderJob, max_bytes: int, stop: Stop) -> None:
    """Keeps what came with a job. Raises CallRefused, compression.CompressionError."""
    left = max_bytes
    for content in job.content:
        stop.check()
        data = b"".join(compression.iter_unpacked(content.file, left))
        left -= len(data)
        try:
            digest = store.write(owner, data)
        except StoreError as error:
            raise CallRefused(pb.Refusal.SERVER_FAULT, f"cannot keep a header: {error}") from error
        if digest != content.digest:
            raise _malformed("content that has another digest")


def missing(store: Store, owner: str, inputs: Sequence[Input]) -> list[bytes]:
    """The digests of which there is no content."""
    wanted = dict.fromkeys(entry.digest for entry in inputs if entry.digest)
    return [digest for digest in wanted if not store.has(owner, digest)]


def lay(
    store: Store,
    owner: str,
    request: pb.CompileRequest,
    inputs: Sequence[Input],
    program: str,
    path: str,
    stop: Stop,
    *,
    clang: bool,
) -> Laid:
    """Writes the inputs below `path`/r. Raises CallRefused, NotAllowedError, OSError."""
    job = request.headerJob
    header_arguments.check(request.argument, clang=clang)
    root = os.path.join(path, "r")
    os.mkdir(root, 0o700)
    for entry in inputs:
        if not entry.digest and not entry.target:
            os.makedirs(root + entry.path, exist_ok=True)
    size = 0
    for entry in inputs:
        if entry.digest:
            stop.check()
            data = _content(store, owner, entry.digest)
            size += len(data)
            _write(root + entry.path, data)
    for entry in inputs:
        if entry.target:
            _link(root, entry)
    directory = root + _checked_path(job.directory)
    recorded = root + _checked_path(request.cwd)
    if not os.path.isdir(recorded) or not os.path.samefile(recorded, directory):
        raise _malformed("working directory that is not among the inputs")
    output, dependencies = os.path.join(path, "w", OUTPUT), os.path.join(path, "w", DEPENDENCIES)
    argv = (
        program,
        *(argument.replace(ROOT_MARK, root) for argument in _own_map_first(request.argument)),
        *system_root(root, clang=clang),
        *(("-MF", dependencies) if job.dependencies else ()),
        "-S" if job.assembly else "-c",
        job.source.replace(ROOT_MARK, root),
        *("-o", output),
    )
    return Laid(argv, directory, recorded, root, size)


def _own_map_first(arguments: Sequence[str]) -> Iterator[str]:
    """Of several prefix maps the last that fits wins: the user's must come after the root's."""
    yield f"-ffile-prefix-map={ROOT_MARK}="
    yield from arguments


def _content(store: Store, owner: str, digest: bytes) -> bytes:
    data = store.read(owner, digest)
    if data is None:
        raise CallRefused(
            pb.Refusal.SERVER_FAULT, "a header was thrown away while the job was prepared", retry_after_ms=1
        )
    return data


def _write(path: str, data: bytes) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "xb", buffering=0) as file:
        file.write(data)
    # All the same: what differs in a time here must not depend on which file was written first.
    os.utime(path, (0, 0))


def _link(root: str, entry: Input) -> None:
    os.makedirs(os.path.dirname(root + entry.path), exist_ok=True)
    os.symlink(root + entry.target if entry.target.startswith("/") else entry.target, root + entry.path)


def _checked_input(given: pb.HeaderJob.Input) -> Input:
    if given.digest and (given.target or len(given.digest) != _DIGEST_BYTES):
        raise _malformed("input")
    if "\0" in given.target or len(given.target) > 4096:
        raise _malformed("link")
    return Input(_checked_path(given.path), bytes(given.digest), given.target)


def _checked_path(path: str) -> str:
    check_path("input", path)
    if not path.startswith("/") or "\0" in path or any(part in ("", ".", "..") for part in path[1:].split("/")):
        raise _malformed(f"path {path[:100]!r}")
    return path


def _malformed(what: str) -> CallRefused:
    return CallRefused(pb.Refusal.BAD_PATH, f"the header job has a {what} that is not taken")
