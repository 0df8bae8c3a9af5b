"""One compile: from a CompileRequest to its CompileAnswer."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from distplusplus.compiler import allowed as argument_rules
from distplusplus.compiler.file_names import check_name
from distplusplus.compiler.languages import Language
from distplusplus.compiler.refusals import NotAllowedError
from distplusplus.protocol import compression
from distplusplus.protocol import distplusplus_pb2 as pb
from distplusplus.protocol.refusals import CallRefused, not_allowed
from distplusplus.server import command_line as planning
from distplusplus.server.compilers import Compilers, Identity, Program
from distplusplus.server.server_settings import Settings
from distplusplus.server.warden_client import Ended, JobDir, WardenClient, settle

T = TypeVar("T")

# Below this a thread costs more than it frees the event loop for.
_INLINE_BYTES = 128 * 1024
_MAX_MESSAGES_BYTES = 8 * 1024 * 1024
_MAX_FURTHER_OUTPUTS = 50

_NO_MEMORY = re.compile(
    rb"Killed signal terminated program|out of memory allocating \d+ bytes|virtual memory exhausted"
    rb"|std::bad_alloc"
    rb"|LLVM ERROR: out of memory|error: .{0,40}Cannot allocate memory|unable to execute command: Killed"
)
_TOO_LARGE = re.compile(rb"File size limit exceeded|File too large|No space left on device")
_CPU_TIME = re.compile(rb"CPU time limit exceeded")
_NO_PROGRAM = re.compile(rb"cannot execute \W*(cc1\w*|as)\W")


@dataclass(frozen=True)
class Outcome:
    """A job's answer, and what the log and the metrics say of it."""

    answer: pb.CompileAnswer
    return_code: int
    input_bytes: int
    output_bytes: int
    compile_s: float


@dataclass(frozen=True)
class _Prepared:
    """A job whose files are written. `present`: what lies where outputs will be, before the compiler runs."""

    plan: planning.Plan
    input_bytes: int
    present: frozenset[str]


class JobRunner:
    """Runs the compiles of this server."""

    def __init__(self, settings: Settings, compilers: Compilers, warden: WardenClient) -> None:
        self._settings = settings
        self._compilers = compilers
        self._warden = warden
        self._compression = pb.zstd if settings.compress == "zstd" else pb.NONE

    async def compile(self, request: pb.CompileRequest) -> Outcome:
        """Compiles. Raises CallRefused. Nothing of the job is left afterwards, also if it is cancelled."""
        try:
            return await self._compile(request)
        except NotAllowedError as error:
            raise not_allowed(error) from error

    async def _compile(self, request: pb.CompileRequest) -> Outcome:
        begun = time.monotonic()
        check_name(request.inputFile.name)
        program, identity = await self._compilers.resolve(request.compiler)
        _check_expected(request.expectedCompiler, identity, program)
        checked = argument_rules.check(request.argument, clang=identity.family == pb.Compiler.CLANG)
        language = argument_rules.language_of(
            request.language, checked.language, request.inputFile.name, request.compiler
        )
        job_dir = self._warden.new_dir()
        try:
            prepared = await _in_thread_if(
                len(request.inputFile.content) > _INLINE_BYTES,
                partial(self._prepare, request, checked, language, program, identity, job_dir),
            )
            plan = prepared.plan
            request.inputFile.ClearField("content")
            started = time.monotonic()
            ended = await self._warden.run(plan.argv, job_dir, _readable(program), self._settings.job_timeout_s)
            finished = time.monotonic()
            _check_ended(ended, job_dir, self._settings)
            size = _size(os.path.join(job_dir.work, plan.output))
            answer = await _in_thread_if(size > _INLINE_BYTES, partial(self._collect, prepared, ended, job_dir))
        finally:
            job_dir.remove()
        answer.report.prepareMs = int((started - begun) * 1000)
        answer.report.compileMs = int((finished - started) * 1000)
        return Outcome(
            answer,
            ended.return_code,
            prepared.input_bytes,
            size,
            finished - started,
        )

    def _prepare(
        self,
        request: pb.CompileRequest,
        checked: argument_rules.Arguments,
        language: Language,
        program: Program,
        identity: Identity,
        job_dir: JobDir,
    ) -> _Prepared:
        """Writes the job's files."""
        try:
            pieces = compression.iter_unpacked(request.inputFile, self._settings.max_input_bytes)
            first = next(pieces, b"")
            plan = planning.make(request, checked, language, program, identity, first[:8192], job_dir.work)
            if plan.output_dir:
                os.makedirs(os.path.join(job_dir.work, plan.output_dir))
            size = _write(os.path.join(job_dir.work, plan.input_name), first, pieces)
            if plan.needs_sources:
                _make_sources(job_dir.work, plan)
            if plan.profile is not None:
                self._write_profile(request, os.path.join(job_dir.work, plan.profile))
        except compression.UnknownCompressionError as error:
            raise CallRefused(pb.Refusal.UNKNOWN_COMPRESSION, f"{request.inputFile.name}: {error}") from error
        except compression.TooLargeError as error:
            raise CallRefused(pb.Refusal.INPUT_TOO_LARGE, f"{request.inputFile.name}: {error} (--max-input)") from error
        except compression.FrameError as error:
            raise CallRefused(pb.Refusal.BAD_FRAME, f"{request.inputFile.name}: {error}") from error
        except OSError as error:
            raise CallRefused(pb.Refusal.SERVER_FAULT, f"cannot write the job's files: {error}") from error
        return _Prepared(plan, size, frozenset(_present(job_dir.work, plan)))

    def _write_profile(self, request: pb.CompileRequest, path: str) -> None:
        for given in request.furtherInput:
            if given.kind == pb.FurtherInput.PROFILE:
                pieces = compression.iter_unpacked(given.file, self._settings.max_input_bytes)
                _write(path, next(pieces, b""), pieces)
                return
        raise CallRefused(
            pb.Refusal.FURTHER_INPUT_MISSING,
            "-fprofile-use reads a profile, and none came with the job",
            "-fprofile-use",
        )

    def _collect(self, prepared: _Prepared, ended: Ended, job_dir: JobDir) -> pb.CompileAnswer:
        plan = prepared.plan
        answer = pb.CompileAnswer(
            returnCode=ended.return_code,
            stdout=_messages(job_dir, "out"),
            stderr=_messages(job_dir, "err"),
            report=pb.JobReport(
                userCpuMs=int(ended.user_cpu_s * 1000),
                systemCpuMs=int(ended.system_cpu_s * 1000),
                maxRssKib=ended.max_rss_kib,
                signal=ended.signal,
            ),
        )
        if ended.return_code != 0:
            answer.outputFile.SetInParent()
            return answer
        answer.outputFile.CopyFrom(self._file(job_dir, plan.output, os.path.basename(plan.output)))
        for name in sorted(_present(job_dir.work, plan) - prepared.present - {plan.output}):
            self._collect_further(plan, job_dir, name, answer)
        return answer

    def _collect_further(self, plan: planning.Plan, job_dir: JobDir, name: str, answer: pb.CompileAnswer) -> None:
        kind = planning.extra_kind(name, plan)
        if kind is None or len(answer.furtherOutput) >= _MAX_FURTHER_OUTPUTS:
            raise CallRefused(
                pb.Refusal.FURTHER_OUTPUTS,
                f"the compiler wrote a further file that is not expected: {name[:200]!r}",
                name,
            )
        directory = plan.gcno_directory if kind == pb.FurtherOutput.GCNO else None
        file = self._file(job_dir, name, os.path.basename(name), directory)
        answer.furtherOutput.append(pb.FurtherOutput(kind=kind, file=file))

    def _file(self, job_dir: JobDir, relative: str, name: str, gcno_directory: str | None = None) -> pb.File:
        try:
            data = job_dir.read(os.path.join("w", relative), self._settings.max_output_bytes)
        except OSError as error:
            raise CallRefused(pb.Refusal.SERVER_FAULT, f"the compiler made no output: {error}") from error
        if gcno_directory is not None:
            data = planning.with_directory(data, job_dir.work, gcno_directory)
        return compression.pack(name, data, self._compression, self._settings.compression_level)


async def _in_thread_if(large: bool, step: Callable[[], T]) -> T:
    """What `step` returns. In a thread, the step is over before a cancelled caller goes on to remove its
    files."""
    if not large:
        return step()
    future = asyncio.get_running_loop().run_in_executor(None, step)
    await settle(future)
    return future.result()


def _check_expected(expected: pb.Compiler, identity: Identity, program: Program) -> None:
    actual = identity.message(program.name)
    for name in ("family", "version", "target", "digest"):
        wanted, found = getattr(expected, name), getattr(actual, name)
        if wanted and wanted != found:
            raise CallRefused(
                pb.Refusal.COMPILER_MISMATCH,
                f"compiler {program.name}: {name} is {found!s:.100}, the client expects {wanted!s:.100}",
                program.name,
            )


def _readable(program: Program) -> tuple[str, ...]:
    """What a job may read besides the system's directories, for a compiler that is installed elsewhere."""
    directory = os.path.dirname(program.real_path)
    if os.path.basename(directory) == "bin":
        directory = os.path.dirname(directory)
    return () if directory in ("/", "/usr") or directory.startswith("/usr/") else (directory,)


def _check_ended(ended: Ended, job_dir: JobDir, settings: Settings) -> None:
    """Tells a compiler that was stopped from one that found an error. Raises CallRefused."""
    if ended.timed_out:
        raise CallRefused(
            pb.Refusal.JOB_TIMEOUT,
            f"the compiler was stopped after {settings.job_timeout_s:g} s (--job-timeout)",
        )
    if ended.return_code == 0:
        return
    messages = job_dir.read("err", settings.max_output_bytes)[-4096:]
    if ended.signal == 9 or _NO_MEMORY.search(messages):
        raise CallRefused(
            pb.Refusal.OUT_OF_MEMORY,
            f"the compiler ran out of memory ({settings.job_memory_mib} MiB for each process,"
            f" --job-memory), or was killed",
            retry_after_ms=1000,
        )
    if _CPU_TIME.search(messages):
        raise CallRefused(
            pb.Refusal.JOB_TIMEOUT,
            f"the compiler used up {settings.job_timeout_s:g} s of CPU (--job-timeout)",
        )
    if _TOO_LARGE.search(messages):
        raise CallRefused(
            pb.Refusal.OUTPUT_TOO_LARGE,
            f"the compiler's files are too large for the worker ({settings.max_output_mib} MiB, --max-output)",
        )
    if missing := _NO_PROGRAM.search(messages):
        raise CallRefused(
            pb.Refusal.LANGUAGE_NOT_SUPPORTED,
            f"this worker's compiler lacks {missing[1].decode()}: the language is not installed",
            missing[1].decode(),
        )


def _messages(job_dir: JobDir, name: str) -> str:
    try:
        data = job_dir.read(name, _MAX_MESSAGES_BYTES)
    except FileNotFoundError:
        return ""
    except CallRefused:
        return f"distplusplusd: more than {_MAX_MESSAGES_BYTES} bytes of messages were left out\n"
    # What would be the client's /tmp and working directory at home.
    text = data.decode("utf-8", "replace")
    return text.replace(job_dir.work + "/", "").replace(job_dir.path, "/tmp")  # noqa: S108


def _write(path: str, first: bytes, rest: Iterator[bytes]) -> int:
    size = len(first)
    with open(path, "xb", buffering=0) as file:
        file.write(first)
        for piece in rest:
            file.write(piece)
            size += len(piece)
    return size


def _make_sources(work: str, plan: planning.Plan) -> None:
    """Empty files where the client has the sources that the text names."""
    with open(os.path.join(work, plan.input_name), "rb") as file:
        names = planning.named_sources(file.read())
    for name in names:
        path = os.path.join(work, name)
        with contextlib.suppress(FileExistsError, NotADirectoryError):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "x"):
                pass


def _present(work: str, plan: planning.Plan) -> set[str]:
    """Files in the working directory and in that of the output."""
    directories = {"", plan.output_dir}
    return {
        os.path.join(directory, entry.name)
        for directory in directories
        for entry in os.scandir(os.path.join(work, directory))
        if not entry.is_dir(follow_symlinks=False)
    }


def _size(path: str) -> int:
    try:
        return os.path.getsize(path)
    except OSError:
        return 0
