"""What a job's message may be before it is parsed."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distplusplus.protocol import distplusplus_pb2 as pb
from distplusplus.protocol.refusals import CallRefused
from distplusplus.server.message_limits import check_fields

LARGE = pb.File(name="a.c", content=bytes(9 << 20))


def test_a_large_source_is_taken() -> None:
    request = pb.CompileRequest(uuid="x", inputFile=LARGE, argument=["-O2"] * 9000, directivesOnly=True)
    request.furtherInput.add(kind=pb.FurtherInput.PROFILE).file.CopyFrom(LARGE)
    data = request.SerializeToString()
    check_fields(data + b"\x09" + bytes(8) + b"\x0d" + bytes(4))


@pytest.mark.parametrize("field", [b"\x2a\x00", b"\xb2\x06\x00", b"\x38\x00"])
def test_a_message_full_of_fields_is_refused(field: bytes) -> None:
    with pytest.raises(CallRefused, match="20000"):
        check_fields(field * (5 << 20))


@pytest.mark.parametrize("end", [b"\x2a\x05a", b"\x2a", b"\xff" * 11, b"\x0c", b"\x09a", b"\x2a\xff\xff\xff\xff\x0f"])
def test_a_damaged_message_is_refused(end: bytes) -> None:
    with pytest.raises(CallRefused, match="no CompileRequest"):
        check_fields(pb.CompileRequest(inputFile=LARGE).SerializeToString() + end)


@given(st.binary(max_size=200))
def test_no_bytes_give_another_error(data: bytes) -> None:
    with contextlib.suppress(CallRefused):
        check_fields(pb.CompileRequest(inputFile=LARGE).SerializeToString() + data)
