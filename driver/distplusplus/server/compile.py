"""One compile: from a CompileRequest to its CompileAnswer, top to bottom.

What a client can make large is done in threads (`job_files`), so that the event loop always answers.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from distplusplus.compiler import allowed as argument_rules
from distplusplus.compiler.file_names import check_name
from distplusplus.compiler.identity import Family, Identity
from distplusplus.compiler.not_allowed import NotAllowedError
from distplusplus.protocol import compression
from distplusplus.protocol import distplusplus_pb2 as pb
from distplusplus.protocol.refusals import CallRefused, not_allowed
from distplusplus.server import command_line, job_files
from distplusplus.server.command_line import CompileCommand
from distplusplus.server.compilers import Compilers, Program, describe
from distplusplus.server.job_files import Budget, Stop
from distplusplus.server.server_settings import ServerSettings
from distplusplus.server.warden_client import Ended, JobDir, WardenClient, settle

T = TypeVar("T")

_HEAD_BYTES = 8192
_TAIL_BYTES = 4096
# Threads are made when they are needed. A job that has a slot must not wait for another one's thread.
_MAX_THREADS = 256
# Outputs larger than this are read by at most two jobs at a time: they are in memory, compressed, until they are sent.
_LARGE_OUTPUT_BYTES, _LARGE_OUTPUTS_AT_ONCE = 64 << 20, 2

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
    """A job's answer, and what the log and the metrics say of it.

    `answer` is an encoded CompileAnswer in pieces. What is only known later can be appended as another one, since
    protobuf merges them.
    """

    answer: list[bytes]
    return_code: int
    input_bytes: int
    output_bytes: int
    compile_s: float


@dataclass(frozen=True)
class _Prepared:
    """A job whose files are written. `present`: the files that are there before the compiler runs."""

    command: CompileCommand
    input_bytes: int
    present: frozenset[str]


class JobRunner:
    """Runs the compiles of this server."""

    def __init__(self, settings: ServerSettings, compilers: Compilers, warden: WardenClient) -> None:
        self._settings = settings
        self._compilers = compilers
        self._warden = warden
        self._threads = ThreadPoolExecutor(_MAX_THREADS, "job")
        self._large_outputs = asyncio.Semaphore(_LARGE_OUTPUTS_AT_ONCE)

    async def compile(self, request: pb.CompileRequest) -> Outcome:
        """Compiles. Raises CallRefused. Nothing of the job is left afterwards, also if it is cancelled."""
        begun_s = time.monotonic()
        program, identity = await self._compilers.resolve(request.compiler)
        job_dir = self._warden.new_dir()
        try:
            prepared = await self.in_thread(lambda stop: self._prepare(request, program, identity, job_dir, stop))
            request.inputFile.ClearField("content")
            request.ClearField("furtherInput")
            started_s = time.monotonic()
            argv = prepared.command.argv
            ended = await self._warden.run(argv, job_dir, readable(program), self._settings.job_timeout_s)
            finished_s = time.monotonic()
            report = job_report(ended, started_s - begun_s, finished_s - started_s)
            answer, output_bytes = await self._collected(request, prepared, ended, report, job_dir)
        finally:
            await self.in_thread(lambda _: job_dir.remove())
        return Outcome(answer, ended.return_code, prepared.input_bytes, output_bytes, finished_s - started_s)

    async def _collected(
        self, request: pb.CompileRequest, prepared: _Prepared, ended: Ended, report: pb.JobReport, job_dir: JobDir
    ) -> tuple[list[bytes], int]:
        def collect(stop: Stop) -> tuple[list[bytes], int]:
            return self._collect(request, prepared, ended, report, job_dir, stop)

        if job_dir.size(os.path.join("w", prepared.command.output)) <= _LARGE_OUTPUT_BYTES:
            return await self.in_thread(collect)
        async with self._large_outputs:
            return await self.in_thread(collect)

    def _prepare(
        self, request: pb.CompileRequest, program: Program, identity: Identity, job_dir: JobDir, stop: Stop
    ) -> _Prepared:
        """Checks the request and writes the job's files. Raises CallRefused."""
        try:
            command, pieces = self._command(request, program, identity, job_dir)
            if command.output_dir:
                os.makedirs(os.path.join(job_dir.work, command.output_dir))
            input_path = os.path.join(job_dir.work, command.input_name)
            size = job_files.write_source(request, pieces, input_path, stop)
            if command.needs_sources:
                job_files.make_named_sources(job_dir.work, command.input_name, stop)
            if command.profile is not None:
                profile_path = os.path.join(job_dir.work, command.profile)
                job_files.write_profile(request, profile_path, self._settings.max_input_bytes, stop)
            return _Prepared(command, size, job_files.present_files(job_dir.work, command))
        except NotAllowedError as error:
            raise not_allowed(error) from None
        except OSError as error:
            raise CallRefused(pb.Refusal.SERVER_FAULT, f"cannot write the job's files: {error}") from None

    def _command(
        self, request: pb.CompileRequest, program: Program, identity: Identity, job_dir: JobDir
    ) -> tuple[CompileCommand, Iterator[bytes]]:
        """The command, and the source in pieces. Raises CallRefused, NotAllowedError."""
        check_name(request.inputFile.name)
        check_expected(request.expectedCompiler, identity, program)
        checked = argument_rules.check(request.argument, clang=identity.family == Family.CLANG)
        language = argument_rules.language_of(
            request.language, checked.language, request.inputFile.name, request.compiler
        )
        pieces = compression.iter_unpacked(request.inputFile, self._settings.max_input_bytes)
        try:
            first = next(pieces, b"")
        except compression.CompressionError as error:
            raise job_files.bad_content(request.inputFile, error) from None
        head = first[:_HEAD_BYTES]
        command = command_line.make(request, checked, language, program, identity, head, job_dir.work)
        return command, itertools.chain((first,), pieces)

    def _collect(
        self,
        request: pb.CompileRequest,
        prepared: _Prepared,
        ended: Ended,
        report: pb.JobReport,
        job_dir: JobDir,
        stop: Stop,
    ) -> tuple[list[bytes], int]:
        """The encoded answer in pieces, and the output's size in bytes. Raises CallRefused."""
        check_ended(ended, job_dir, self._settings)
        budget = Budget(self._settings.max_output_bytes, self._settings.max_output_mib)
        plain = not command_line.knows_extensions(request)
        answer = pb.CompileAnswer(
            returnCode=ended.return_code,
            stdout=job_files.messages(job_dir, "out", budget, plain=plain),
            stderr=job_files.messages(job_dir, "err", budget, plain=plain),
            report=report,
        )
        if ended.return_code != 0:
            # Empty, but there: a client of the first implementation makes a file of it either way.
            answer.outputFile.SetInParent()
            return [answer.SerializeToString()], 0
        outputs, size = job_files.collect_outputs(
            job_dir, prepared.command, prepared.present, self._settings, budget, stop
        )
        return [answer.SerializeToString(), *outputs], size

    async def in_thread(self, step: Callable[[Stop], T]) -> T:
        """What `step` returns. It is over when this returns or raises, also when the caller is cancelled."""
        stop = Stop()
        future = asyncio.get_running_loop().run_in_executor(self._threads, step, stop)
        try:
            await asyncio.wait([future])
            return future.result()
        except asyncio.CancelledError:
            stop.set()
            await settle(future)
            future.exception()
            raise
        finally:
            # The future holds an exception, that holds its frames, and this one would hold the future: a cycle that
            # keeps the job's message in memory.
            del future


def job_report(ended: Ended, prepare_s: float, compile_s: float) -> pb.JobReport:
    """What the answer tells of a job's times, CPU and memory."""
    return pb.JobReport(
        prepareMs=int(prepare_s * 1000),
        compileMs=int(compile_s * 1000),
        userCpuMs=int(ended.user_cpu_s * 1000),
        systemCpuMs=int(ended.system_cpu_s * 1000),
        maxRssKib=ended.max_rss_kib,
        signal=ended.signal,
    )


def check_expected(expected: pb.Compiler, identity: Identity, program: Program) -> None:
    actual = describe(identity, program.name)
    for name in ("family", "version", "target", "digest"):
        wanted, found = getattr(expected, name), getattr(actual, name)
        if wanted and wanted != found:
            raise CallRefused(
                pb.Refusal.COMPILER_MISMATCH,
                f"compiler {program.name}: {name} is {found!s:.100}, the client expects {wanted!s:.100}",
                program.name,
            )


def readable(program: Program) -> tuple[str, ...]:
    """What a job may read besides the system's directories, for a compiler that is installed elsewhere."""
    directory = os.path.dirname(program.real_path)
    if os.path.basename(directory) == "bin":
        directory = os.path.dirname(directory)
    return () if directory in ("/", "/usr") or directory.startswith("/usr/") else (directory,)


def check_ended(ended: Ended, job_dir: JobDir, settings: ServerSettings) -> None:
    """Tells a compiler that was stopped from one that found an error. Raises CallRefused."""
    if ended.timed_out:
        raise CallRefused(
            pb.Refusal.JOB_TIMEOUT,
            f"the compiler was stopped after {settings.job_timeout_s:g} s (--job-timeout)",
        )
    if ended.return_code == 0:
        return
    messages = job_files.last_messages(job_dir, _TAIL_BYTES)
    if ended.signal == 9 or _NO_MEMORY.search(messages):
        raise CallRefused(
            pb.Refusal.OUT_OF_MEMORY,
            f"the compiler ran out of memory ({settings.job_memory_mib} MiB for each process, --job-memory),"
            " or was killed",
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
