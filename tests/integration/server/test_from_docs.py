"""A client written from docs/protocol.md and the .proto alone: its own wire format, nothing of ours.

It shows that the page is enough, and that the wire is what the page says and not what our code makes of it.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import grpc
import pytest
import zstandard

from tests.integration.server.harness import Server

Fields = dict[int, list[Any]]


def varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def field(number: int, value: str | bytes | int) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def parse(data: bytes) -> Fields:
    found: Fields = {}
    position = 0

    def number() -> int:
        nonlocal position
        value = shift = 0
        while True:
            byte = data[position]
            position += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while position < len(data):
        tag = number()
        if tag & 7 == 0:
            found.setdefault(tag >> 3, []).append(number())
        elif tag & 7 == 2:
            length = number()
            found.setdefault(tag >> 3, []).append(data[position : position + length])
            position += length
        else:
            raise AssertionError(f"wire type {tag & 7}")
    return found


class PlainClient:
    def __init__(self, address: str) -> None:
        limits = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        self.channel = grpc.insecure_channel(address, limits)

    def call(self, method: str, request: bytes, timeout: float) -> Fields:
        # No serializers: bytes go out and come in.
        return parse(self.channel.unary_unary(f"/distplusplus.{method}")(request, timeout=timeout))  # type: ignore[arg-type]

    def compile(self, compiler: str, name: str, text: bytes, cwd: str, arguments: list[str]) -> Fields:
        frame = zstandard.ZstdCompressor(write_content_size=False).compress(text)
        reservation = self.call("CompilationServer/Reserve", field(100, 5000), 8)
        assert reservation[1] == [1]
        file = field(1, name) + field(2, 1) + field(3, frame)
        request = field(1, reservation[2][0]) + field(2, compiler) + field(3, file) + field(4, cwd)
        request += b"".join(field(5, argument) for argument in arguments)
        return self.call("CompilationServer/Distribute", request, 60)


@pytest.fixture
def plain(server: Server) -> PlainClient:
    return PlainClient(server.addresses[0])


def test_a_program_is_built_and_runs(plain: PlainClient, tmp_path: Path) -> None:
    source = '#include <stdio.h>\nint main(void) { printf("built from the page\\n"); return 7; }\n'
    (tmp_path / "program.c").write_text(source)
    text = subprocess.run(["gcc", "-E", "program.c"], cwd=tmp_path, capture_output=True, check=True).stdout
    known = plain.call("CompilationServer/Query", field(1, "gcc") + field(2, 1), 10)
    assert known[1] == [1]
    assert known[2] == [1]
    assert known[4][0] >= 1
    answer = plain.compile("gcc", "program.c", text, str(tmp_path), ["-O2", "-DX", "-c"])
    assert 1 not in answer  # returnCode 0 is not on the wire
    file = parse(answer[4][0])
    assert file[2] == [1]
    (tmp_path / "program.o").write_bytes(zstandard.ZstdDecompressor().decompressobj().decompress(file[3][0]))
    subprocess.run(["gcc", "program.o", "-o", "program"], cwd=tmp_path, check=True)
    done = subprocess.run([str(tmp_path / "program")], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("built from the page\n", 7)
    shutil.rmtree(tmp_path)


def test_a_failed_compile(plain: PlainClient) -> None:
    answer = plain.compile("gcc", "bad.c", b'# 1 "bad.c"\nnonsense;;\nint x = ;\n', "/home/x", ["-c"])
    assert answer[1] == [1]
    assert b"bad.c:2:9: error" in answer[3][0]
    assert answer[4] == [b""]


def test_a_refusal_and_its_details(plain: PlainClient) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        plain.compile("gcc", "a.c", b"int x;\n", "/", ["-fplugin=evil", "-c"])
    error: Any = caught.value
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    status = parse(dict(error.trailing_metadata())["grpc-status-details-bin"])
    assert status[1] == [3]
    assert status[2] == [error.details().encode()]
    detail = parse(status[3][0])
    assert detail[1] == [b"type.googleapis.com/distplusplus.Refusal"]
    refusal = parse(detail[2][0])
    assert refusal[1] == [9]  # ARGUMENT_NOT_ALLOWED
    assert refusal[2] == [b"-fplugin=evil"]


def test_describe(plain: PlainClient) -> None:
    description = plain.call("WorkerInformation/Describe", b"", 30)
    assert description[2] == [1]
    names = {parse(compiler)[1][0] for compiler in description[3]}
    assert b"gcc" in names
