"""Messages encoded without protobuf are those that protobuf makes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from distplusplus.protocol import distplusplus_pb2 as pb
from distplusplus.protocol import encoding


@given(st.text(max_size=5), st.sampled_from([pb.NONE, pb.zstd]), st.binary(max_size=400), st.booleans())
def test_a_file_is_what_protobuf_makes_of_it(
    name: str, kind: pb.CompressionType, content: bytes, further: bool
) -> None:
    file = pb.File(name=name, compressionType=kind, content=content)
    answer = pb.CompileAnswer(returnCode=3, stdout="x")
    pieces = encoding.file_field(pb.CompileAnswer.OUTPUTFILE_FIELD_NUMBER, name, kind, content)
    expected = pb.CompileAnswer(returnCode=3, stdout="x", outputFile=file)
    if further:
        kind_field = pb.FurtherOutput(kind=pb.FurtherOutput.DWO).SerializeToString()
        inner = encoding.file_field(pb.FurtherOutput.FILE_FIELD_NUMBER, name, kind, content)
        pieces += encoding.message_field(pb.CompileAnswer.FURTHEROUTPUT_FIELD_NUMBER, [kind_field, *inner])
        expected.furtherOutput.add(kind=pb.FurtherOutput.DWO, file=file)
    assert pb.CompileAnswer.FromString(answer.SerializeToString() + b"".join(pieces)) == expected


@given(st.integers(min_value=0, max_value=2**40))
def test_numbers(value: int) -> None:
    encoded = encoding.varint(value)
    assert sum((byte & 0x7F) << 7 * place for place, byte in enumerate(encoded)) == value
    assert [byte >> 7 for byte in encoded] == [1] * (len(encoded) - 1) + [0]
