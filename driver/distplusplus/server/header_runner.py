"""One header job: from a CompileRequest to its CompileAnswer, top to bottom."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

from distplusplus.cas.store import Store
from distplusplus.compiler.identity import Family, Identity
from distplusplus.compiler.languages import X_NAME_OF, Language
from distplusplus.compiler.not_allowed import NotAllowedError
from distplusplus.compiler.own_headers import OwnHeadersCache
from distplusplus.compiler.search_path import NoSearchPathError
from distplusplus.protocol import compression, encoding
from distplusplus.protocol import distplusplus_pb2 as pb
from distplusplus.protocol.refusals import CallRefused, not_allowed
from distplusplus.server import header_job, job_files
from distplusplus.server.compile import JobRunner, Outcome, check_ended, check_expected, job_report, readable
from distplusplus.server.compilers import Compilers, Program
from distplusplus.server.header_job import DEPENDENCIES, OUTPUT, Laid, Tables
from distplusplus.server.job_files import Budget, Packer, Stop
from distplusplus.server.server_settings import ServerSettings
from distplusplus.server.warden_client import Ended, JobDir, WardenClient


@dataclass(frozen=True)
class _NotCompiled:
    """What the client must send before the job can be compiled."""

    answer: pb.CompileAnswer


class HeaderRunner:
    """Runs the header jobs of this server."""

    def __init__(
        self, settings: ServerSettings, compilers: Compilers, warden: WardenClient, runner: JobRunner, store: Store
    ) -> None:
        self._settings = settings
        self._compilers = compilers
        self._warden = warden
        self._runner = runner
        self._store = store
        self._tables = Tables()
        self._own_headers = OwnHeadersCache()

    async def compile(self, request: pb.CompileRequest, owner: str) -> Outcome:
        """Compiles, or tells what is missing. `owner`: whose contents may be used. Raises CallRefused."""
        program, identity = await self._compilers.resolve(request.compiler)
        check_expected(request.expectedCompiler, identity, program)
        begun_s = time.monotonic()
        job_dir = self._warden.new_dir()
        in_thread = self._runner.in_thread
        try:
            laid = await in_thread(lambda stop: self._prepare(request, owner, program, identity, job_dir, stop))
            if isinstance(laid, _NotCompiled):
                return Outcome([laid.answer.SerializeToString()], 0, 0, 0, 0.0)
            started_s = time.monotonic()
            ended = await self._warden.run(
                laid.argv,
                job_dir,
                readable(program),
                self._settings.job_timeout_s,
                directory=laid.directory,
                recorded_directory=laid.recorded_directory,
            )
            finished_s = time.monotonic()
            report = job_report(ended, started_s - begun_s, finished_s - started_s)
            answer, size = await in_thread(lambda stop: self._collect(request, laid, ended, report, job_dir, stop))
        finally:
            await in_thread(lambda _: job_dir.remove())
        return Outcome(answer, ended.return_code, laid.input_bytes, size, finished_s - started_s)

    def _prepare(
        self, request: pb.CompileRequest, owner: str, program: Program, identity: Identity, job_dir: JobDir, stop: Stop
    ) -> Laid | _NotCompiled:
        """Lays the job's files. Raises CallRefused."""
        job = request.headerJob
        clang = identity.family == Family.CLANG
        start = _started_by(program)
        try:
            inputs = self._tables.inputs(owner, job)
            if inputs is None:
                return _NotCompiled(pb.CompileAnswer(unknownTable=True))
            own = self._own_headers.find(start, X_NAME_OF[Language(request.language)], clang=clang)
            if own.digest != job.ownHeaders:
                raise CallRefused(
                    pb.Refusal.COMPILER_MISMATCH,
                    f"compiler {request.compiler}: the headers that belong to it are not those of the client's",
                    request.compiler,
                )
            max_bytes = self._settings.max_input_bytes
            header_job.store_contents(self._store, owner, job, max_bytes, stop)
            if lacking := header_job.missing(self._store, owner, inputs):
                return _NotCompiled(pb.CompileAnswer(missing=lacking))
            return header_job.lay(
                self._store, owner, request, inputs, start, job_dir.path, max_bytes, stop, clang=clang
            )
        except NotAllowedError as error:
            raise not_allowed(error) from None
        except (NoSearchPathError, KeyError, ValueError) as error:
            raise CallRefused(pb.Refusal.LANGUAGE_NOT_SUPPORTED, f"no header jobs for this: {error}") from None
        except compression.CompressionError as error:
            raise job_files.bad_content(pb.File(name="a header"), error) from None
        except OSError as error:
            raise CallRefused(pb.Refusal.SERVER_FAULT, f"cannot write the job's files: {error}") from None

    def _collect(
        self,
        request: pb.CompileRequest,
        laid: Laid,
        ended: Ended,
        report: pb.JobReport,
        job_dir: JobDir,
        stop: Stop,
    ) -> tuple[list[bytes], int]:
        """The encoded answer in pieces, and the output's size in bytes. Raises CallRefused."""
        check_ended(ended, job_dir, self._settings)
        budget = Budget(self._settings.max_output_bytes, self._settings.max_output_mib)
        answer = pb.CompileAnswer(
            returnCode=ended.return_code,
            stdout=job_files.messages(job_dir, "out", budget, plain=False, root=laid.root),
            stderr=job_files.messages(job_dir, "err", budget, plain=False, root=laid.root),
            report=report,
        )
        if ended.return_code != 0:
            return [answer.SerializeToString()], 0
        left_bytes = budget.left_bytes
        pieces = Packer(job_dir, self._settings, budget, stop).pack(pb.CompileAnswer.OUTPUTFILE_FIELD_NUMBER, OUTPUT)
        size = left_bytes - budget.left_bytes
        if request.headerJob.dependencies:
            pieces += self._dependencies(laid, job_dir, budget)
        return [answer.SerializeToString(), *pieces], size

    def _dependencies(self, laid: Laid, job_dir: JobDir, budget: Budget) -> list[bytes]:
        try:
            with job_dir.open(os.path.join("w", DEPENDENCIES)) as file:
                budget.take(os.fstat(file.fileno()).st_size)
                rule = file.read()
        except OSError as error:
            raise CallRefused(pb.Refusal.SERVER_FAULT, f"the compiler made no dependency file: {error}") from None
        kind = pb.zstd if self._settings.compress == "zstd" else pb.NONE
        text = rule.replace(laid.root.encode(), b"")
        packed = compression.pack(DEPENDENCIES, text, kind, self._settings.compression_level)
        further = pb.FurtherOutput(kind=pb.FurtherOutput.DEPENDENCIES, file=packed)
        return encoding.message_field(pb.CompileAnswer.FURTHEROUTPUT_FIELD_NUMBER, [further.SerializeToString()])


def _started_by(program: Program) -> str:
    """The compiler's path, without the link that allows it.

    Clang looks for GCC's headers beside the directory that it is started from, and objects name that directory.
    """
    try:
        target = os.readlink(program.path)
    except OSError:
        return program.path
    return target if os.path.isabs(target) else program.path
