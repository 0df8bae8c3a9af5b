"""A header job: the client's files are laid below a root, and the compiler runs there.

Everything that the client says is checked before a file is written. Names are absolute and plain. All directories are
made first and all links last, so that nothing is written through a link. Reading is confined by Landlock: without it,
header jobs are not offered.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
# Of all tables together. An input takes some 300 bytes besides its texts: 4 MiB for 10,000 inputs.
_MAX_TABLES_BYTES: Final = 256 << 20
_INPUT_BYTES: Final = 300
# What Linux takes for one program, environment included (execve(2): a quarter of an 8 MiB stack).
_MAX_ARGUMENTS_CHARACTERS: Final = 2 << 20
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
        self._sizes: dict[tuple[str, bytes], int] = {}

    def inputs(self, owner: str, job: pb.HeaderJob) -> list[Input] | None:
        """The inputs of a job; None if one of them is not known. Raises CallRefused."""
        if len(job.table) != _TABLE_NAME_BYTES or max(len(job.input), len(job.newInput)) > _MAX_JOB_INPUTS:
            raise _malformed("table or number of inputs")
        new = {given.number: _checked_input(given) for given in job.newInput}
        with self._lock:
            return self._inputs((owner, bytes(job.table)), new, job.input)

    def _inputs(self, key: tuple[str, bytes], new: Mapping[int, Input], numbers: Sequence[int]) -> list[Input] | None:
        table = self._tables.setdefault(key, {})
        self._tables.move_to_end(key)
        # A number that is described anew counts twice: clients do not do that.
        self._sizes[key] = self._sizes.get(key, 0) + sum(map(_size_bytes, new.values()))
        table.update(new)
        found = None
        with contextlib.suppress(KeyError):
            found = [table[number] for number in numbers]
        if len(table) > _MAX_INPUTS:
            self._forget(key)
            return None
        while len(self._tables) > _MAX_TABLES or sum(self._sizes.values()) > _MAX_TABLES_BYTES:
            self._forget(next(iter(self._tables)))
        return found

    def _forget(self, key: tuple[str, bytes]) -> None:
        del self._tables[key], self._sizes[key]


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
    if len(job.content) > _MAX_JOB_INPUTS:
        raise _malformed("number of contents")
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
    max_bytes: int,
    stop: Stop,
    *,
    clang: bool,
) -> Laid:
    """Writes the inputs below `path`/r: `max_bytes` of them at most. Raises CallRefused, NotAllowedError, OSError."""
    job = request.headerJob
    if sum(map(len, request.argument)) > _MAX_ARGUMENTS_CHARACTERS:
        raise _malformed("list of arguments, too long for any program,")
    header_arguments.check(request.argument, clang=clang)
    source = _checked_source(job.source)
    root = os.path.join(path, "r")
    os.mkdir(root, 0o700)
    try:
        size = _lay_inputs(store, owner, inputs, root, max_bytes, stop)
    except FileExistsError:
        raise _malformed("path with two inputs") from None
    directory = root + _checked_path(job.directory)
    recorded = root + _checked_path(request.cwd)
    # Not isdir and samefile: links can lead out of the root, and the client would learn what there is.
    real = os.path.realpath(directory)
    if (
        not real.startswith(os.path.realpath(root) + "/")
        or os.path.realpath(recorded) != real
        or not os.path.isdir(real)
    ):
        raise _malformed("working directory that is not among the inputs")
    output, dependencies = os.path.join(path, "w", OUTPUT), os.path.join(path, "w", DEPENDENCIES)
    argv = (
        program,
        *(argument.replace(ROOT_MARK, root) for argument in _own_map_first(request.argument)),
        *system_root(root, clang=clang),
        *(("-MF", dependencies) if job.dependencies else ()),
        "-S" if job.assembly else "-c",
        source.replace(ROOT_MARK, root),
        *("-o", output),
    )
    return Laid(argv, directory, recorded, root, size)


def _lay_inputs(store: Store, owner: str, inputs: Sequence[Input], root: str, max_bytes: int, stop: Stop) -> int:
    """Returns the size of all files in bytes. Raises CallRefused, OSError."""
    for directory in _directories(inputs):
        stop.check()
        os.mkdir(root + directory)
    size = 0
    for entry in inputs:
        if entry.digest:
            stop.check()
            data = _content(store, owner, entry.digest)
            # One content can have any number of paths, so this is not bounded by what the client has sent.
            size += len(data)
            if size > max_bytes:
                raise CallRefused(
                    pb.Refusal.INPUT_TOO_LARGE,
                    f"the inputs have more than the {max_bytes} bytes that are allowed (--max-input)",
                )
            _write(root + entry.path, data)
    for entry in inputs:
        if entry.target:
            stop.check()
            target = root + entry.target if entry.target.startswith("/") else entry.target
            os.symlink(target, root + entry.path)
    return size


def _directories(inputs: Sequence[Input]) -> Iterable[str]:
    """All directories that the inputs are or lie in, parents first. Raises CallRefused."""
    known: dict[str, None] = {}
    for entry in inputs:
        directory = entry.path if not entry.digest and not entry.target else os.path.dirname(entry.path)
        new = []
        while directory not in ("", "/") and directory not in known:
            new.append(directory)
            directory = directory.rpartition("/")[0]
        known.update(dict.fromkeys(reversed(new)))
        if len(known) > _MAX_JOB_INPUTS:
            raise _malformed("number of directories")
    return known


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
    with open(path, "xb", buffering=0) as file:
        file.write(data)
    # All the same: what differs in a time here must not depend on which file was written first.
    os.utime(path, (0, 0))


def _size_bytes(entry: Input) -> int:
    return _INPUT_BYTES + len(entry.path) + len(entry.target)


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


def _checked_source(source: str) -> str:
    """A name that no compiler takes for an option: one that begins with `-` could load a plugin."""
    check_path("source", source)
    if not source or source[0] in "-@" or ROOT_MARK in source[1:]:
        raise _malformed(f"source {source[:100]!r}")
    return source


def _malformed(what: str) -> CallRefused:
    return CallRefused(pb.Refusal.BAD_PATH, f"the header job has a {what} that is not taken")
