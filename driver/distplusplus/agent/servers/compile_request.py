"""The message that asks a server for a compile, for servers of ours and of the first implementation."""

from __future__ import annotations

import os
from typing import cast

from distplusplus.agent.local_compilers import LocalCompiler
from distplusplus.agent.servers.remote_server import Server
from distplusplus.compiler.classify import Compile
from distplusplus.compiler.languages import PREPROCESSED_ENDING_OF
from distplusplus.protocol import distplusplus_pb2 as pb


def compile_request(
    command: Compile, compiler: LocalCompiler, server: Server, name: str, content: pb.File, directory: str
) -> pb.CompileRequest:
    """The request, without a reservation. `name` is the server's for the compiler, `directory` the client's own."""
    base = os.path.basename(command.source)
    request = pb.CompileRequest(compiler=name, inputFile=content, cwd=directory, argument=command.remote)
    if not server.extended:
        # What it takes for preprocessed is what has such a name.
        request.inputFile.name = os.path.splitext(base)[0] + PREPROCESSED_ENDING_OF[command.language]
        return request
    request.inputFile.name = base
    request.outputName = command.output
    request.furtherOutputs = True
    request.language = cast("pb.Language", int(command.language))
    request.expectedCompiler.digest = compiler.digest
    return request
