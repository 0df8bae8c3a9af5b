"""Writes distplusplus_pb2.py and .pyi from distplusplus.proto.

Use: `python -m distplusplus.protocol.generate`. Needs grpcio-tools (a development dependency).
An argument names another directory to write to.
"""

from __future__ import annotations

import os
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))
_SOURCE_ROOT = os.path.abspath(os.path.join(_HERE, "../.."))
_PROTO = "distplusplus/protocol/distplusplus.proto"


def generate(output_root: str = _SOURCE_ROOT) -> None:
    """Writes the generated modules below `output_root`, a source root. Raises RuntimeError."""
    from grpc_tools import protoc  # noqa: PLC0415  # a development dependency

    arguments = [
        "protoc",
        f"-I{_SOURCE_ROOT}",
        f"--python_out={output_root}",
        f"--pyi_out={output_root}",
        _PROTO,
    ]
    if protoc.main(arguments) != 0:
        raise RuntimeError(f"protoc cannot compile {_PROTO}")


if __name__ == "__main__":
    generate(*sys.argv[1:2])
