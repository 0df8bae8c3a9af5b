"""The message that asks a server for a compile, for servers of ours and of the first implementation."""

from __future__ import annotations

import os
from typing import cast

from distplusplus.agent.servers import first_implementation
from distplusplus.agent.servers.remote_worker import PreparedCompile
from distplusplus.compiler.languages import PREPROCESSED_ENDING_OF
from distplusplus.protocol import distplusplus_pb2 as pb


def compile_request(prepared: PreparedCompile, name: str, token: str, *, extended: bool) -> pb.CompileRequest:
    """`name` is the server's name for the compiler, `token` the reservation. `extended`: it is a server of ours."""
    command = prepared.command
    base = os.path.basename(command.source)
    request = pb.CompileRequest(
        uuid=token,
        compiler=name,
        inputFile=prepared.text,
        cwd=prepared.directory,
        argument=command.remote if extended else first_implementation.arguments(prepared),
    )
    if not extended:
        # The first implementation takes a file for preprocessed if it has such a name.
        request.inputFile.name = os.path.splitext(base)[0] + PREPROCESSED_ENDING_OF[command.language]
        return request
    request.inputFile.name = base
    request.outputName = command.output
    request.furtherOutputs = True
    request.language = cast("pb.Language", int(command.language))
    request.expectedCompiler.digest = prepared.compiler.digest
    request.reserveNext = True
    request.directivesOnly = prepared.unexpanded
    if prepared.header_job is not None:
        job = prepared.header_job
        request.argument[:] = job.command.arguments
        request.headerJob.source = job.source
        request.headerJob.directory = job.directory
        request.headerJob.ownHeaders = job.own_headers
        request.headerJob.assembly = "-S" in command.remote
        request.headerJob.dependencies = job.command.dependencies is not None
    return request
