"""The protocol as docs/protocol.md tells it, against the real server."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import grpc
import pytest

from distplusplus.protocol import compression, methods
from distplusplus.protocol import distplusplus_pb2 as pb
from tests.integration.server.harness import HELLO, Client, Server, SlowLink, refused, until

Code = grpc.StatusCode


def test_query_tells_what_there_is(client: Client) -> None:
    answer = client.query(pb.ServerQuery(compiler="gcc", desiredCompressionType=pb.zstd), timeout=20)
    assert answer.compilerSupported
    assert answer.compressionTypeSupported
    assert answer.currentLoad == 0
    assert answer.maxJobs >= 1
    assert answer.compilerIdentity.family == pb.Compiler.GCC
    assert len(answer.compilerIdentity.digest) == 64
    assert answer.capacity.cpus >= 1
    assert answer.capacity.slots == answer.maxJobs


@pytest.mark.parametrize("name", ["", "no-gcc", "/usr/bin/gcc", "../bin/gcc", "python3", "sh", "g\0", "g" * 300])
def test_query_for_what_is_not_allowed(client: Client, name: str) -> None:
    assert not client.query(pb.ServerQuery(compiler=name), timeout=20).compilerSupported


def test_unknown_compression_in_a_query(client: Client) -> None:
    query = pb.ServerQuery.FromString(b"\x0a\x03gcc\x10\x63")
    assert not client.query(query, timeout=20).compressionTypeSupported


def test_names_with_and_without_prefix_are_the_same_compiler(client: Client) -> None:
    target = client.query(pb.ServerQuery(compiler="gcc"), timeout=20).compilerIdentity.target
    plain, prefixed = (client.object(compiler=name) for name in ("gcc", f"{target}-gcc"))
    assert plain == prefixed
    assert not client.query(pb.ServerQuery(compiler="riscv99-unknown-elf-gcc"), timeout=20).compilerSupported


def test_describe(client: Client) -> None:
    before = client.describe(pb.DescribeRequest(), timeout=30)
    client.object()
    answer = client.describe(pb.DescribeRequest(), timeout=30)
    assert {"gcc", "g++", "clang", "clang++"} <= {compiler.name for compiler in answer.compiler}
    assert answer.protocolRevision == 1
    assert pb.Description.NEXT_RESERVATION in answer.feature
    assert client.query(pb.ServerQuery(), timeout=20).feature == answer.feature
    assert answer.jobsDone == before.jobsDone + 1


ARGUMENTS = (
    "-I inc -Isrc -DX=1 -D Y -include config.h -MD -MF obj/hello.d -MT hello.o -Wall -O2 -std=c11 -fPIC"
    " -pthread -isystem /opt/x -c"
)


def test_macros_that_are_left_to_the_server(client: Client) -> None:
    text = b'# 0 "a.cc"\n#define ANSWER 42\n# 7 "a.cc"\nint answer = ANSWER + __LINE__;\n'
    assert client.object(text, "a.cc", "g++", directivesOnly=True) == client.object(
        b'# 0 "a.cc"\n# 7 "a.cc"\nint answer = 42 + 7;\n', "a.cc", "g++"
    )
    with refused(Code.INVALID_ARGUMENT, pb.Refusal.ARGUMENT_NOT_ALLOWED, "GCC 11"):
        client.compile(text, "a.cc", "clang++", directivesOnly=True)


def test_as_the_first_client_does_it(client: Client) -> None:
    """Its arguments come verbatim, its frames have no size, and it knows no extension."""
    uuid = client.reserve(pb.Reservation(), timeout=5).uuid
    answer = client.distribute(
        pb.CompileRequest(
            uuid=uuid,
            compiler="x86_64-linux-gnu-gcc" if "x86" in target(client) else "gcc",
            inputFile=compression.pack("hello.c", HELLO, pb.zstd),
            cwd="/home/user/project",
            argument=ARGUMENTS.split(),
        ),
        timeout=20,
    )  # fmt: skip
    assert (answer.returnCode, answer.stderr, answer.stdout) == (0, "", "")
    assert answer.outputFile.compressionType == pb.zstd
    assert compression.unpack(answer.outputFile, 1 << 20)[:4] == b"\x7fELF"
    assert answer.HasField("outputFile")


def target(client: Client) -> str:
    return str(client.query(pb.ServerQuery(compiler="gcc"), timeout=20).compilerIdentity.target)


def test_a_failing_compiler_is_an_answer(client: Client) -> None:
    answer = client.compile(b'# 1 "src/bad.c"\nint main(void) { return x; }\n', name="bad.c")
    assert answer.returnCode == 1
    assert "src/bad.c:1:25: error" in answer.stderr
    assert answer.HasField("outputFile")
    assert answer.outputFile == pb.File()


def test_warnings_come_with_the_object(client: Client) -> None:
    answer = client.compile(b"int f(void) { int unused; return 0; }\n", arguments=["-Wall", "-c"])
    assert answer.returnCode == 0
    assert "unused" in answer.stderr


def test_answers_without_compression(start: Callable[..., Server]) -> None:
    client = start("--compress", "none").client()
    request = client.request(inputFile=pb.File(name="hello.c", content=HELLO))
    answer = client.distribute(request, timeout=20)
    assert answer.outputFile.compressionType == pb.NONE
    assert answer.outputFile.content[:4] == b"\x7fELF"


def test_full(start: Callable[..., Server]) -> None:
    client = start("--jobs", "2", "--reservation-timeout", "60").client()
    for _ in range(2):
        client.reserve(pb.Reservation(), timeout=5)
    with refused(Code.RESOURCE_EXHAUSTED, pb.Refusal.FULL, "all 2 slots are taken") as refusal:
        client.reserve(pb.Reservation(), timeout=5)
    assert refusal[0].transient
    assert client.query(pb.ServerQuery(), timeout=5).currentLoad == 2


def test_unknown_used_and_expired_are_told_apart(start: Callable[..., Server]) -> None:
    server = start("--reservation-timeout", "0.3")
    client = server.client()
    with refused(Code.FAILED_PRECONDITION, pb.Refusal.UNKNOWN_RESERVATION, "no such reservation"):
        client.compile(uuid="made-up")
    request = client.request()
    assert client.distribute(request, timeout=20).returnCode == 0
    with refused(Code.FAILED_PRECONDITION, pb.Refusal.USED_RESERVATION, "used before"):
        client.distribute(request, timeout=20)
    late = client.request()
    until(lambda: client.query(pb.ServerQuery(), timeout=5).currentLoad == 0, "the reservation to expire")
    with refused(Code.FAILED_PRECONDITION, pb.Refusal.EXPIRED_RESERVATION, "unused for 0.3 s"):
        client.distribute(late, timeout=20)


def test_a_reservation_is_kept_for_its_time(start: Callable[..., Server]) -> None:
    client = start("--jobs", "1", "--reservation-timeout", "0.5").client()
    client.reserve(pb.Reservation(), timeout=5)
    begun = time.monotonic()
    # Granted when the first one expires, and not before.
    client.reserve(pb.Reservation(waitMs=20_000), timeout=30)
    assert time.monotonic() - begun >= 0.45


def test_a_slow_upload_keeps_its_reservation(start: Callable[..., Server]) -> None:
    """Longer than the reservation lasts, on a link that carries the job slowly."""
    server = start("--reservation-timeout", "0.3", "--jobs", "1")
    with SlowLink(server.addresses[0], bytes_per_s=400_000) as address:
        client = server.client(address=address)
        text = HELLO + b"".join(b"extern int f%d_%d;\n" % (i, i * 7919) for i in range(25_000))
        content = pb.File(name="hello.c", content=text)
        assert len(text) > 400_000
        begun = time.monotonic()
        answer = client.distribute(client.request(inputFile=content), timeout=60)
        assert answer.returnCode == 0
        assert time.monotonic() - begun > 0.8
        assert answer.report.transferMs > 500


def test_waiting_for_a_slot(start: Callable[..., Server]) -> None:
    client = start("--jobs", "1", "--reservation-timeout", "0.3").client()
    client.reserve(pb.Reservation(), timeout=5)
    answer = client.reserve(pb.Reservation(waitMs=10_000), timeout=20)
    assert answer.success
    assert answer.waitedMs >= 100


def test_the_slot_of_a_job_is_kept_for_the_next(start: Callable[..., Server]) -> None:
    client = start("--jobs", "1", "--reservation-timeout", "30").client()
    answer = client.compile(reserveNext=True)
    assert answer.next.success
    assert answer.next.timeoutMs == 30_000
    with refused(Code.RESOURCE_EXHAUSTED, pb.Refusal.FULL):
        client.reserve(pb.Reservation(), timeout=5)
    last = client.compile(uuid=answer.next.uuid)
    assert last.returnCode == 0
    assert not last.HasField("next")
    assert client.reserve(pb.Reservation(), timeout=5).success


def test_waiting_ends_in_full(start: Callable[..., Server]) -> None:
    client = start("--jobs", "1", "--reservation-timeout", "60").client()
    client.reserve(pb.Reservation(), timeout=5)
    with refused(Code.RESOURCE_EXHAUSTED, pb.Refusal.FULL, "no slot became free"):
        client.reserve(pb.Reservation(waitMs=200), timeout=20)


def test_waiters_are_served_round_the_users(start: Callable[..., Server]) -> None:
    client = start("--jobs", "1", "--reservation-timeout", "0.15").client()
    client.reserve(pb.Reservation(user="holder"), timeout=5)
    served: list[str] = []
    threads = []

    def wait(user: str) -> None:
        client.reserve(pb.Reservation(user=user, waitMs=30_000), timeout=40)
        served.append(user)

    def is_queued(queued: int) -> bool:
        answer = client.query(pb.ServerQuery(), timeout=5)
        return bool(len(served) + answer.capacity.queuedReservations >= queued)

    for queued, user in enumerate(["many"] * 4 + ["few"], 1):
        threads.append(threading.Thread(target=wait, args=(user,)))
        threads[-1].start()
        until(partial(is_queued, queued), "the call to be queued")
    for thread in threads:
        thread.join()
    assert "few" in served[:3], served


def test_a_waiter_that_leaves_takes_no_slot(start: Callable[..., Server]) -> None:
    # A slot that is given to a call that has left stays taken for a minute.
    client = start("--jobs", "1", "--reservation-timeout", "60").client()
    request = client.request()
    waiting = client.reserve.future(pb.Reservation(waitMs=30_000), timeout=40)

    def capacity() -> pb.Capacity:
        answer: pb.QueryAnswer = client.query(pb.ServerQuery(), timeout=5)
        return answer.capacity

    until(lambda: capacity().queuedReservations == 1, "the call to wait")
    waiting.cancel()
    until(lambda: capacity().queuedReservations == 0, "the call to leave")
    assert client.distribute(request, timeout=60).returnCode == 0
    assert capacity().reservedSlots == 0


def test_expected_compiler(client: Client) -> None:
    identity = client.query(pb.ServerQuery(compiler="gcc"), timeout=20).compilerIdentity
    assert client.object(expectedCompiler=identity)
    identity.version = "3.1"
    with refused(Code.FAILED_PRECONDITION, pb.Refusal.COMPILER_MISMATCH, "3.1"):
        client.compile(expectedCompiler=identity)


def test_unknown_fields_and_unknown_methods(client: Client) -> None:
    request = client.request()
    later = pb.CompileRequest.FromString(request.SerializeToString() + b"\xaa\x1f\x03new")
    assert client.distribute(later, timeout=20).returnCode == 0
    future: Any = client.channel.unary_unary(f"/{methods.COMPILATION_SERVICE}/Future")
    with pytest.raises(grpc.RpcError) as caught:
        future(b"", timeout=5)
    assert caught.value.code() == Code.UNIMPLEMENTED
