"""The generated code, and the wire numbers that must never change."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from distplusplus.protocol import distplusplus_pb2 as pb
from distplusplus.protocol.generate import generate

PACKAGE = "distplusplus/protocol"


@pytest.mark.parametrize("name", ["distplusplus_pb2.py", "distplusplus_pb2.pyi"])
def test_generated_code_is_in_step_with_the_proto(tmp_path: Path, name: str) -> None:
    generate(str(tmp_path))
    with open(tmp_path / PACKAGE / name) as fresh, open(os.path.join("driver", PACKAGE, name)) as kept:
        assert kept.read() == fresh.read(), "run: python -m distplusplus.protocol.generate"


def test_numbers_of_the_first_implementation() -> None:
    """From packet captures of its client and server."""
    fields = {
        message.DESCRIPTOR.name: {f.name: f.number for f in message.DESCRIPTOR.fields if f.number < 100}
        for message in (
            pb.File, pb.ServerQuery, pb.QueryAnswer, pb.Reservation, pb.ReservationAnswer, pb.CompileRequest,
            pb.CompileAnswer,
        )
    }  # fmt: skip
    assert fields == {
        "File": {"name": 1, "compressionType": 2, "content": 3},
        "ServerQuery": {"compiler": 1, "desiredCompressionType": 2},
        "QueryAnswer": {
            "compilerSupported": 1,
            "compressionTypeSupported": 2,
            "currentLoad": 3,
            "maxJobs": 4,
        },
        "Reservation": {},
        "ReservationAnswer": {"success": 1, "uuid": 2},
        "CompileRequest": {"uuid": 1, "compiler": 2, "inputFile": 3, "cwd": 4, "argument": 5},
        "CompileAnswer": {"returnCode": 1, "stdout": 2, "stderr": 3, "outputFile": 4, "currentLoad": 5},
    }
    assert pb.CompressionType.items() == [("NONE", 0), ("zstd", 1)]


def test_a_request_in_the_bytes_of_the_first_client() -> None:
    source = b"\x1a\x0d\x0a\x03a.c\x10\x01\x1a\x04\x28\xb5\x2f\xfd"
    wire = b"\x0a\x01u\x12\x03gcc" + source + b"\x22\x01/\x2a\x02-c\x2a\x03-O2"
    request = pb.CompileRequest.FromString(wire)
    assert (request.uuid, request.compiler, request.cwd) == ("u", "gcc", "/")
    assert request.inputFile == pb.File(name="a.c", compressionType=pb.zstd, content=b"\x28\xb5\x2f\xfd")
    assert list(request.argument) == ["-c", "-O2"]
