"""The first implementation's client, which knows no extension, and ours from before an extension."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable

import grpc
import pytest

from distplusplus.protocol import compression
from distplusplus.protocol import distplusplus_pb2 as pb
from tests.integration.server.harness import HELLO, Client, Server, refused, until

Code = grpc.StatusCode
EMPTY_FRAME = bytes.fromhex("28b52ffd2000010000")


class FirstClient(Client):
    """A channel as a program in C++ has it. gRPC puts `primary_user_agent` in front of what it says itself."""

    def __init__(self, address: str) -> None:
        super().__init__(address, options=(("grpc.primary_user_agent", "grpc-c++/1.51.1"),))


@pytest.fixture
def first(server: Server) -> FirstClient:
    return FirstClient(server.addresses[0])


@pytest.mark.parametrize("name", ["no-gcc", "sh", "/usr/bin/gcc", "g" * 50_000])
def test_a_query_for_an_unknown_compiler_is_refused(first: FirstClient, client: Client, name: str) -> None:
    """It goes on to its next server then. Told that the compiler is not supported, it would send the job anyway."""
    with refused(Code.INVALID_ARGUMENT, pb.Refusal.COMPILER_NOT_ALLOWED):
        first.query(pb.ServerQuery(compiler=name, desiredCompressionType=pb.zstd), timeout=20)
    asked = pb.ServerQuery(compiler=name, answerUnknownCompiler=True)
    assert not first.query(asked, timeout=20).compilerSupported
    # Ours from before the field takes a refusal for the loss of the server.
    assert not client.query(pb.ServerQuery(compiler=name), timeout=20).compilerSupported


def test_a_query_without_a_name_is_answered(first: FirstClient) -> None:
    """Clients of this project ask so whether the server is alive."""
    assert first.query(pb.ServerQuery(), timeout=20).maxJobs >= 1


def request(client: Client, text: bytes = HELLO, **fields: object) -> pb.CompileRequest:
    uuid = client.reserve(pb.Reservation(), timeout=10).uuid
    content = compression.compress(text, pb.zstd) + EMPTY_FRAME * 2
    file = pb.File(name="hello.c", compressionType=pb.zstd, content=content)
    return pb.CompileRequest(uuid=uuid, compiler="gcc", inputFile=file, cwd="/home/u", **fields)  # type: ignore[arg-type]


def test_its_frames_are_taken(first: FirstClient) -> None:
    answer = first.distribute(request(first, argument=["-O2", "-c"]), timeout=30)
    assert compression.unpack(answer.outputFile, 1 << 20)[:4] == b"\x7fELF"


def test_assembly_needs_the_name_of_the_output(first: FirstClient, client: Client) -> None:
    """It would write the assembly into `hello.o`."""
    with refused(Code.INVALID_ARGUMENT, pb.Refusal.NOT_A_COMPILE, "-S"):
        first.distribute(request(first, argument=["-S"]), timeout=30)
    answer = client.distribute(request(client, argument=["-S"], outputName="hello.s"), timeout=30)
    assert b".text" in compression.unpack(answer.outputFile, 1 << 20)
    answer = client.distribute(request(client, argument=["-S"], furtherOutputs=True), timeout=30)
    assert answer.returnCode == 0


def test_messages_have_no_control_characters(first: FirstClient, client: Client) -> None:
    """Neither the compiler's colours nor what a source puts there: it prints them as they are."""
    text = b'# 1 "a.c"\n#warning \x1b]0;title\x07\nint f(void) { return "\x1b[2J"; }\n'
    arguments = ["-fdiagnostics-color=always", "-c"]
    answer = first.distribute(request(first, text, argument=arguments), timeout=30)
    assert "warning" in answer.stderr
    assert answer.stderr.replace("\n", "").isprintable()
    assert (
        "\x1b[" in client.distribute(request(client, text, argument=arguments, furtherOutputs=True), timeout=30).stderr
    )


def test_a_reserve_without_a_wait_has_its_turn(start: Callable[..., Server]) -> None:
    """Beside a client that waits, and without calling a thousand times."""
    server = start("--jobs", "1", "--reservation-timeout", "0.2")
    ours, first = server.client(), FirstClient(server.addresses[0])
    ours.reserve(pb.Reservation(user="ours"), timeout=5)
    stop = threading.Event()

    def wait() -> None:
        while not stop.is_set():
            ours.reserve(pb.Reservation(user="ours", waitMs=10_000), timeout=20)

    threads = [threading.Thread(target=wait) for _ in range(3)]
    for thread in threads:
        thread.start()
    calls, granted = 0, False
    begun_s = time.monotonic()
    while not granted:
        calls += 1
        assert time.monotonic() - begun_s < 30
        with contextlib.suppress(grpc.RpcError):  # still full
            granted = first.reserve(pb.Reservation(), timeout=20).success
    stop.set()
    for thread in threads:
        thread.join()
    assert calls <= 20
    until(lambda: first.query(pb.ServerQuery(), timeout=5).currentLoad == 0, "the slots to be free")
