"""Atheris target: arguments, names, messages and framing as a client could send them.

    python -m fuzz.server -max_total_time=60      (pip install atheris)

The properties: for any bytes there is a command or a refusal, never another exception; no argument of a command names a
file that is not the job's; what is written to a log or a terminal is text.
"""

from __future__ import annotations

import contextlib
import sys

import atheris

with atheris.instrument_imports(include=["distplusplus"]):
    from google.protobuf.message import DecodeError

    from distplusplus.compiler import allowed as arguments
    from distplusplus.compiler.identity import Family, Identity
    from distplusplus.compiler.languages import Language
    from distplusplus.compiler.not_allowed import NotAllowedError
    from distplusplus.protocol import compression, encoding
    from distplusplus.protocol import distplusplus_pb2 as pb
    from distplusplus.protocol.refusals import CallRefused
    from distplusplus.server import command_line as plan
    from distplusplus.server import job_files, message_limits
    from distplusplus.server.compilers import Program
    from distplusplus.server.log import printable

_PROGRAM = Program("gcc", "/usr/bin/gcc", "/usr/bin/gcc")
_IDENTITIES = {
    False: Identity(Family.GCC, "12.2.0", "x86_64-linux-gnu", ""),
    True: Identity(Family.CLANG, "14.0.6", "x86_64-pc-linux-gnu", ""),
}
_WORDS = [
    "-c",
    "-S",
    "-O2",
    "-g",
    "-x",
    "c++",
    "-o",
    "-I",
    "-D",
    "-f",
    "-fplugin=",
    "-fprofile-use",
    "--coverage",
    "-Wa,",
    "-Wp,",
    "-Xclang",
    "-B",
    "@",
    "-specs=",
    "-fdebug-prefix-map=",
    "-gsplit-dwarf",
    "-m",
    "-W",
    "/",
    "..",
    "=",
    ",",
    "-",
]


def arguments_and_names(data: bytes) -> None:
    """A request whose arguments are pieces of what compilers know, glued at random."""
    provider = atheris.FuzzedDataProvider(data)
    clang = provider.ConsumeBool()
    given = []
    for _ in range(provider.ConsumeIntInRange(0, 8)):
        words = [
            _WORDS[provider.ConsumeIntInRange(0, len(_WORDS) - 1)] for _ in range(provider.ConsumeIntInRange(0, 3))
        ]
        given.append("".join(words) + provider.ConsumeUnicodeNoSurrogates(6))
    request = pb.CompileRequest(
        inputFile=pb.File(name=provider.ConsumeUnicodeNoSurrogates(12)),
        cwd=provider.ConsumeUnicodeNoSurrogates(8),
        outputName=provider.ConsumeUnicodeNoSurrogates(12),
        furtherOutputs=True,
        directivesOnly=provider.ConsumeBool(),
    )
    try:
        checked = arguments.check([*given, "-c"], clang=clang)
        made = plan.make(
            request, checked, Language.C, _PROGRAM, _IDENTITIES[clang], provider.ConsumeBytes(40), "/job/w"
        )
    except (CallRefused, NotAllowedError):
        return
    for name in (made.input_name, made.output):
        parts = name.split("/")
        assert not name.startswith("/"), made
        assert ".." not in parts, made
        assert "\0" not in name, made
    for argument in made.argv[1:]:
        assert "\0" not in argument, made
        assert not argument.startswith(("@", "-fplugin", "-B", "-wrapper", "-specs", "-fdump")), made


def framing(data: bytes) -> None:
    """A File as it could come off the wire."""
    try:
        file = pb.CompileRequest.FromString(data).inputFile
    except DecodeError:
        file = pb.File(compressionType=pb.zstd, content=data)
    magic, frame = b"\x28\xb5\x2f\xfd", compression.compress(b"int x;", pb.zstd)
    empty = bytes.fromhex("28b52ffd2000010000")
    contents = (magic + data, frame + data, frame + empty + data, frame + magic + data)
    for candidate in (file, *(pb.File(compressionType=pb.zstd, content=content) for content in contents)):
        with contextlib.suppress(compression.CompressionError):
            assert len(compression.unpack(candidate, 1 << 16)) <= 1 << 16


def messages(data: bytes) -> None:
    """A message before it is parsed, and one that is encoded without protobuf."""
    with contextlib.suppress(CallRefused):
        message_limits.check_fields(data, small_bytes=0)
    name = data[:4].hex()
    pieces = encoding.file_field(pb.CompileAnswer.OUTPUTFILE_FIELD_NUMBER, name, pb.NONE, data)
    assert pb.CompileAnswer.FromString(b"".join(pieces)).outputFile.content == data


def texts(data: bytes) -> None:
    """Line markers of a source, messages of a compiler, and lines of a log."""
    for name in job_files.named_sources(b'# 1 "' + data + b'"\n' + data):
        assert not name.startswith(("/", "-", "@")), name
        assert ".." not in name.split("/"), name
    text = data.decode("utf-8", "replace")
    assert job_files.without_control_characters(text).replace("\n", "").replace("\t", "").find("\x1b") < 0
    assert printable(text).isprintable()


def test_one_input(data: bytes) -> None:
    """What atheris calls."""
    arguments_and_names(data)
    framing(data)
    messages(data)
    texts(data)


def main() -> None:
    atheris.Setup(sys.argv, test_one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
