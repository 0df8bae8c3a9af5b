"""Runs header jobs: contents, the root, the compiler, the answer."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from distplusplus.cas.store import Store
from distplusplus.compiler.identity import Family
from distplusplus.compiler.languages import X_NAME_OF, Language
from distplusplus.compiler.own_headers import OwnHeadersCache
from distplusplus.compiler.refusals import NotAllowedError
from distplusplus.compiler.search_path import NoSearchPathError
from distplusplus.protocol import compression
from distplusplus.protocol import distplusplus_pb2 as pb
from distplusplus.protocol.refusals import CallRefused, not_allowed
from distplusplus.server import header_job
from distplusplus.server.compile import Outcome, check_ended, check_expected, pack, readable
from distplusplus.server.compilers import Compilers, Program
from distplusplus.server.header_job import Input, Laid, Tables
from distplusplus.server.server_settings import Settings
from distplusplus.server.warden_client import Ended, JobDir, WardenClient, settle

T = TypeVar("T")

_MAX_MESSAGES_BYTES = 8 << 20


class HeaderRunner:
    """Runs the header jobs of this server."""

    def __init__(self, settings: Settings, compilers: Compilers, warden: WardenClient, store: Store) -> None:
        self._settings = settings
        self._compilers = compilers
        self._warden = warden
        self._store = store
        self._tables = Tables()
        self._own_headers = OwnHeadersCache()

    async def compile(self, request: pb.CompileRequest, owner: str) -> Outcome:
        """Compiles, or tells what is missing. `owner`: whose contents may be used. Raises CallRefused."""
        try:
            return await self._compile(request, owner)
        except NotAllowedError as error:
            raise not_allowed(error) from error

    async def _compile(self, request: pb.CompileRequest, owner: str) -> Outcome:
        job = request.headerJob
        inputs = self._tables.inputs(owner, job)
        if inputs is None:
            return _not_compiled(pb.CompileAnswer(unknownTable=True))
        program, identity = await self._compilers.resolve(request.compiler)
        check_expected(request.expectedCompiler, identity, program)
        begun = time.monotonic()
        clang = identity.family == Family.CLANG
        job_dir = self._warden.new_dir()
        try:
            laid = await _in_thread(
                partial(self._prepare, request, owner, inputs, _started_by(program), job_dir, clang=clang)
            )
            if isinstance(laid, list):
                return _not_compiled(pb.CompileAnswer(missing=laid))
            started = time.monotonic()
            ended = await self._warden.run(
                laid.argv,
                job_dir,
                readable(program),
                self._settings.job_timeout_s,
                directory=laid.directory,
                recorded_directory=laid.recorded_directory,
            )
            compile_s = time.monotonic() - started
            check_ended(ended, job_dir, self._settings)
            answer, size = await _in_thread(partial(self._collect, laid, ended, job_dir))
        finally:
            await _in_thread(job_dir.remove)
        answer.report.prepareMs = int((started - begun) * 1000)
        answer.report.compileMs = int(compile_s * 1000)
        return Outcome(answer, ended.return_code, sum(len(entry.path) for entry in inputs), size, compile_s)

    def _prepare(
        self,
        request: pb.CompileRequest,
        owner: str,
        inputs: list[Input],
        program: str,
        job_dir: JobDir,
        *,
        clang: bool,
    ) -> Laid | list[bytes]:
        """Lays the job's files; what is missing if that cannot be done."""
        job = request.headerJob
        try:
            own = self._own_headers.find(program, X_NAME_OF[Language(request.language)], clang=clang)
            if own.digest != job.ownHeaders:
                raise CallRefused(
                    pb.Refusal.COMPILER_MISMATCH,
                    f"compiler {request.compiler}: the headers that belong to it are others than the client's",
                    request.compiler,
                )
            header_job.store_contents(self._store, owner, job, self._settings.max_input_bytes)
            if lacking := header_job.missing(self._store, owner, inputs):
                return lacking
            return header_job.lay(self._store, owner, request, inputs, program, job_dir.path, clang=clang)
        except (NoSearchPathError, KeyError, ValueError) as error:
            raise CallRefused(pb.Refusal.LANGUAGE_NOT_SUPPORTED, f"header jobs are not for this: {error}") from error
        except compression.CompressionError as error:
            raise CallRefused(pb.Refusal.BAD_FRAME, f"a header: {error}") from error
        except OSError as error:
            raise CallRefused(pb.Refusal.SERVER_FAULT, f"cannot write the job's files: {error}") from error

    def _collect(self, laid: Laid, ended: Ended, job_dir: JobDir) -> tuple[pb.CompileAnswer, int]:
        answer = pb.CompileAnswer(
            returnCode=ended.return_code,
            stdout=_messages(job_dir, "out", laid.root),
            stderr=_messages(job_dir, "err", laid.root),
            report=pb.JobReport(
                userCpuMs=int(ended.user_cpu_s * 1000),
                systemCpuMs=int(ended.system_cpu_s * 1000),
                maxRssKib=ended.max_rss_kib,
                signal=ended.signal,
            ),
        )
        if ended.return_code != 0:
            answer.outputFile.SetInParent()
            return answer, 0
        data = self._read(job_dir, laid.output)
        answer.outputFile.CopyFrom(pack(self._settings, "o", data))
        if laid.dependencies is not None:
            rule = self._read(job_dir, laid.dependencies).replace(laid.root.encode(), b"")
            file = pack(self._settings, "d", rule)
            answer.furtherOutput.append(pb.FurtherOutput(kind=pb.FurtherOutput.DEPENDENCIES, file=file))
        return answer, len(data)

    def _read(self, job_dir: JobDir, path: str) -> bytes:
        try:
            return job_dir.read(os.path.basename(path), self._settings.max_output_bytes)
        except OSError as error:
            raise CallRefused(pb.Refusal.SERVER_FAULT, f"the compiler made no output: {error}") from error


def _started_by(program: Program) -> str:
    """The compiler's path, without the link that allows it.

    Clang looks for GCC's headers beside the directory that it is started from, and objects name that directory.
    """
    try:
        target = os.readlink(program.path)
    except OSError:
        return program.path
    return target if os.path.isabs(target) else program.path


def _not_compiled(answer: pb.CompileAnswer) -> Outcome:
    return Outcome(answer, 0, 0, 0, 0.0)


def _messages(job_dir: JobDir, name: str, root: str) -> str:
    try:
        data = job_dir.read(name, _MAX_MESSAGES_BYTES)
    except FileNotFoundError:
        return ""
    text = data.decode("utf-8", "replace").replace(root, "")
    return text.replace(job_dir.path, "/tmp")  # noqa: S108


async def _in_thread(step: Callable[[], T]) -> T:
    """What `step` returns; it is over before a cancelled caller goes on to remove its files."""
    future = asyncio.get_running_loop().run_in_executor(None, step)
    await settle(future)
    return future.result()
