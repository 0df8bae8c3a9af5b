"""The files of one job: written before the compiler runs, read after it. Runs in threads.

How long a step takes is the client's choice, so each one looks at a `Stop` again and again. Sizes and numbers are
bounded while they grow.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass

from distplusplus.compiler.file_names import MAX_PATH_BYTES, is_plain
from distplusplus.protocol import compression, encoding
from distplusplus.protocol import distplusplus_pb2 as pb
from distplusplus.protocol.refusals import CallRefused
from distplusplus.server import command_line
from distplusplus.server.command_line import CompileCommand
from distplusplus.server.server_settings import ServerSettings
from distplusplus.server.warden_client import JobDir

_PIECE_BYTES = 1 << 20
_MAX_MESSAGES_BYTES = 8 << 20
_MAX_FURTHER_OUTPUTS = 50
_MARKED_NAME = re.compile(rb'^# \d+ "([^"\\\n<]+)"', re.MULTILINE)
# The largest projects' sources include some 3,000 files. Each is a file or a directory to make and to remove, 50 us.
_MAX_SOURCES = 10_000
_TERMINAL_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\))")
_CONTROL_CHARACTER = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class StoppedError(Exception):
    """Raised in a thread whose job was cancelled."""


class Stop:
    """Tells a thread that nobody waits for its work any more."""

    def __init__(self) -> None:
        self._is_set = threading.Event()

    def set(self) -> None:
        self._is_set.set()

    def check(self) -> None:
        """Raises StoppedError after `set`."""
        if self._is_set.is_set():
            raise StoppedError


@dataclass
class Budget:
    """How many bytes the outputs and messages of a job may still have, all together."""

    left_bytes: int
    max_mib: int

    def take(self, size_bytes: int) -> None:
        """Raises CallRefused OUTPUT_TOO_LARGE."""
        self.left_bytes -= size_bytes
        if self.left_bytes < 0:
            raise CallRefused(
                pb.Refusal.OUTPUT_TOO_LARGE,
                f"the compiler's output and messages are larger than {self.max_mib} MiB (--max-output)",
            )


def write_source(request: pb.CompileRequest, pieces: Iterator[bytes], path: str, stop: Stop) -> int:
    """Writes `pieces`, the decompressed source, to `path`. Returns its size in bytes; raises CallRefused, OSError."""
    try:
        return _write(path, pieces, stop)
    except compression.CompressionError as error:
        raise bad_content(request.inputFile, error) from None


def bad_content(file: pb.File, error: compression.CompressionError) -> CallRefused:
    """The refusal of a file that cannot be unpacked."""
    if isinstance(error, compression.TooLargeError):
        return CallRefused(pb.Refusal.INPUT_TOO_LARGE, f"{file.name}: {error} (--max-input)")
    unknown = isinstance(error, compression.UnknownCompressionError)
    return CallRefused(pb.Refusal.UNKNOWN_COMPRESSION if unknown else pb.Refusal.BAD_FRAME, f"{file.name}: {error}")


def write_profile(request: pb.CompileRequest, path: str, max_bytes: int, stop: Stop) -> None:
    """Writes what -fprofile-use reads. Raises CallRefused, OSError."""
    for given in request.furtherInput:
        if given.kind == pb.FurtherInput.PROFILE:
            try:
                _write(path, compression.iter_unpacked(given.file, max_bytes), stop)
            except compression.CompressionError as error:
                raise bad_content(given.file, error) from None
            return
    raise CallRefused(
        pb.Refusal.FURTHER_INPUT_MISSING, "-fprofile-use reads a profile, and none came with the job", "-fprofile-use"
    )


def make_named_sources(work: str, input_name: str, stop: Stop) -> None:
    """Makes empty files where the client has the sources that the text names. Raises CallRefused, OSError."""
    made: set[str] = set()
    for name in _named_sources(os.path.join(work, input_name), stop):
        stop.check()
        parts = name.split("/")
        made.update("/".join(parts[:depth]) for depth in range(1, len(parts) + 1))
        if len(made) > _MAX_SOURCES:
            raise CallRefused(
                pb.Refusal.INPUT_TOO_LARGE,
                f"the text names more than {_MAX_SOURCES} files and directories, which coverage notes of clang need",
            )
        path = os.path.join(work, name)
        with contextlib.suppress(FileExistsError, NotADirectoryError):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "x"):
                pass


def named_sources(text: bytes) -> set[str]:
    """The files that line markers name, those that lie below the working directory."""
    names = (name.decode("utf-8", "replace") for name in set(_MARKED_NAME.findall(text)))
    return {name for name in names if is_plain(name.split("/")) and len(name) < MAX_PATH_BYTES}


def _named_sources(path: str, stop: Stop) -> Iterator[str]:
    seen: set[str] = set()
    with open(path, "rb") as file:
        # A piece ends with a line, unless that is longer than any marker.
        while piece := file.read(_PIECE_BYTES):
            stop.check()
            new = named_sources(piece + file.readline(2 * MAX_PATH_BYTES)) - seen
            yield from new
            seen |= new


def present_files(work: str, command: CompileCommand) -> frozenset[str]:
    """The files in the working directory and in that of the output."""
    directories = {"", command.output_dir}
    return frozenset(
        os.path.join(directory, entry.name)
        for directory in directories
        for entry in os.scandir(os.path.join(work, directory))
        if not entry.is_dir(follow_symlinks=False)
    )


def collect_outputs(
    job_dir: JobDir,
    command: CompileCommand,
    before: frozenset[str],
    settings: ServerSettings,
    budget: Budget,
    stop: Stop,
) -> tuple[list[bytes], int]:
    """The output and the further outputs as pieces of an encoded CompileAnswer, and the output's size in bytes.

    `before`: the files that were there before the compiler ran. Raises CallRefused.
    """
    packer = Packer(job_dir, settings, budget, stop)
    left_bytes = budget.left_bytes
    pieces = packer.pack(pb.CompileAnswer.OUTPUTFILE_FIELD_NUMBER, command.output)
    size = left_bytes - budget.left_bytes
    further = sorted(present_files(job_dir.work, command) - before - {command.output})
    for count, name in enumerate(further):
        kind = command_line.extra_kind(name, command)
        if kind is None or count >= _MAX_FURTHER_OUTPUTS:
            raise CallRefused(
                pb.Refusal.FURTHER_OUTPUTS,
                f"the compiler wrote a further file that is not expected: {name[:200]!r}",
                name,
            )
        directory = command.gcno_directory if kind == pb.FurtherOutput.GCNO else None
        file = packer.pack(pb.FurtherOutput.FILE_FIELD_NUMBER, name, directory)
        kind_field = pb.FurtherOutput(kind=kind).SerializeToString()
        pieces += encoding.message_field(pb.CompileAnswer.FURTHEROUTPUT_FIELD_NUMBER, [kind_field, *file])
    return pieces, size


@dataclass(frozen=True)
class Packer:
    """Reads outputs of a job into pieces of an encoded message."""

    job_dir: JobDir
    settings: ServerSettings
    budget: Budget
    stop: Stop

    def pack(self, field: int, relative: str, gcno_directory: str | None = None) -> list[bytes]:
        """The job's file `relative` as a field of an encoded message. Raises CallRefused."""
        kind = pb.zstd if self.settings.compress == "zstd" else pb.NONE
        path = os.path.join("w", relative)
        try:
            if gcno_directory is not None:
                notes = command_line.with_directory(self._whole(path), self.job_dir.work, gcno_directory)
                content = compression.compress(notes, kind, self.settings.compression_level)
            elif kind == pb.NONE:
                content = self._whole(path)
            else:
                content = compression.compress_pieces(self._pieces(path), self.settings.compression_level)
        except OSError as error:
            raise CallRefused(pb.Refusal.SERVER_FAULT, f"the compiler made no output: {error}") from None
        return encoding.file_field(field, os.path.basename(relative), kind, content)

    def _whole(self, path: str) -> bytes:
        """In one read, which does not hold up other threads."""
        with self.job_dir.open(path) as source:
            size = os.fstat(source.fileno()).st_size
            self.budget.take(size)
            return source.read(size)

    def _pieces(self, path: str) -> Iterator[bytes]:
        with self.job_dir.open(path) as source:
            while piece := source.read(_PIECE_BYTES):
                self.stop.check()
                self.budget.take(len(piece))
                yield piece


def last_messages(job_dir: JobDir, max_bytes: int) -> bytes:
    """The end of what the compiler wrote to its standard error."""
    with job_dir.open("err") as file:
        file.seek(max(os.fstat(file.fileno()).st_size - max_bytes, 0))
        return file.read(max_bytes)


def messages(job_dir: JobDir, name: str, budget: Budget, *, plain: bool, root: str = "") -> str:
    """What the compiler wrote to `out` or `err`. `plain`: without colours, links and other control characters. `root`:
    what is taken out of every path.

    Raises CallRefused.
    """
    try:
        with job_dir.open(name) as file:
            data = file.read(_MAX_MESSAGES_BYTES + 1)
    except FileNotFoundError:
        return ""
    if len(data) > _MAX_MESSAGES_BYTES:
        return f"distplusplusd: more than {_MAX_MESSAGES_BYTES} bytes of messages were left out\n"
    budget.take(len(data))
    # What would be the client's /tmp and working directory in a local compile.
    text = data.decode("utf-8", "replace")
    if root:
        text = text.replace(root, "")
    text = text.replace(job_dir.work + "/", "").replace(job_dir.path, "/tmp")  # noqa: S108
    return without_control_characters(text) if plain else text


def without_control_characters(text: str) -> str:
    """`text` without terminal sequences. Other control characters than tabs and line ends become `?`."""
    return _CONTROL_CHARACTER.sub("?", _TERMINAL_SEQUENCE.sub("", text))


def _write(path: str, pieces: Iterator[bytes], stop: Stop) -> int:
    size = 0
    with open(path, "xb", buffering=0) as file:
        for piece in pieces:
            stop.check()
            file.write(piece)
            size += len(piece)
    return size
