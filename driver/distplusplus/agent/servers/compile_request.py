"""The message that asks a server for a compile, for servers of ours and of the first implementation."""

from __future__ import annotations

import os

from distplusplus.agent.servers.protocol import PreparedCompile
from distplusplus.protocol import distplusplus_pb2 as pb

# A server of the first implementation takes a file for preprocessed if it has such a name.
_PREPROCESSED_ENDING = {pb.C: ".i", pb.CXX: ".ii", pb.OBJECTIVE_C: ".mi", pb.OBJECTIVE_CXX: ".mii"}


def compile_request(prepared: PreparedCompile, name: str, token: str, *, extended: bool) -> pb.CompileRequest:
    """`name` is the server's name for the compiler, `token` the reservation. `extended`: it is a server of ours."""
    command = prepared.command
    base = os.path.basename(command.source)
    request = pb.CompileRequest(
        uuid=token, compiler=name, inputFile=prepared.text, cwd=prepared.directory, argument=command.remote
    )
    if not extended:
        request.inputFile.name = os.path.splitext(base)[0] + _PREPROCESSED_ENDING[command.language]
        return request
    request.inputFile.name = base
    request.outputName = command.output
    request.furtherOutputs = True
    request.language = command.language
    request.expectedCompiler.digest = prepared.compiler.digest
    request.reserveNext = True
    request.directivesOnly = prepared.unexpanded
    return request
