"""A server that answers with what was not asked for writes no file of the user."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from distplusplus.protocol import compression
from distplusplus.protocol import distplusplus_pb2 as pb
from tests.integration.agent.first_server import running
from tests.integration.agent.home import LAUNCHER, Home

_MAKEFILE = "all:\n\techo mine\n"


class HostileServer:
    """Has any compiler, and sends `further` beside an object."""

    def __init__(self) -> None:
        self.further: list[pb.FurtherOutput] = []
        self.stderr = ""
        self.version = ""
        self.jobs = 0

    def query(self, _: pb.ServerQuery, __: grpc.ServicerContext) -> pb.QueryAnswer:
        capacity = pb.Capacity(cpus=4, slots=4, reservationTimeoutMs=1000)
        answer = pb.QueryAnswer(compilerSupported=True, compressionTypeSupported=True, maxJobs=4, capacity=capacity)
        if self.version:
            answer.compilerIdentity.version = self.version
        return answer

    def reserve(self, _: pb.Reservation, __: grpc.ServicerContext) -> pb.ReservationAnswer:
        return pb.ReservationAnswer(success=True, uuid="any")

    def distribute(self, _: pb.CompileRequest, __: grpc.ServicerContext) -> pb.CompileAnswer:
        self.jobs += 1
        return pb.CompileAnswer(
            outputFile=compression.pack("x", b"object of the server", pb.zstd),
            furtherOutput=self.further,
            stderr=self.stderr,
        )

    def send(self, name: str, kind: pb.FurtherOutput.Kind) -> None:
        self.further.append(pb.FurtherOutput(kind=kind, file=compression.pack(name, b"evil", pb.zstd)))


@pytest.fixture
def hostile(alone: Home) -> Iterator[HostileServer]:
    behaviour = HostileServer()
    with running(behaviour) as address:
        alone.use(address)
        alone.write("a.c", "int x;\n")
        alone.write("Makefile", _MAKEFILE)
        yield behaviour


def files(home: Home) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(home.work).iterdir()}


@pytest.mark.parametrize("arguments", [(), ("-fstack-usage",), ("-g", "-gsplit-dwarf", "-fstack-usage")], ids=" ".join)
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("Makefile", pb.FurtherOutput.STACK_USAGE),
        ("a.c", pb.FurtherOutput.DWO),
        ("a.o", pb.FurtherOutput.STACK_USAGE),
        ("b.su", pb.FurtherOutput.STACK_USAGE),
        ("a.su", pb.FurtherOutput.GCNO),
        ("a.gcno", pb.FurtherOutput.GCNO),
        ("../a.su", pb.FurtherOutput.STACK_USAGE),
        ("", pb.FurtherOutput.STACK_USAGE),
        ("..", pb.FurtherOutput.DWO),
    ],
)
def test_files_that_were_not_asked_for_are_not_written(
    alone: Home, hostile: HostileServer, arguments: tuple[str, ...], name: str, kind: pb.FurtherOutput.Kind
) -> None:
    assert alone.run("gcc", *arguments, "-c", "a.c").returncode == 0
    expected = files(alone)
    hostile.send(name, kind)
    done = alone.compile("gcc", *arguments, "-c", "a.c")
    assert (done.returncode, hostile.jobs, files(alone)) == (0, 1, expected)
    assert "sent a file that was not asked for" in done.stderr
    assert not (alone.work.parent / "a.su").exists()


def test_a_file_that_was_asked_for_is_taken_once(alone: Home, hostile: HostileServer) -> None:
    hostile.send("a.su", pb.FurtherOutput.STACK_USAGE)
    alone.remote("gcc", "-fstack-usage", "-c", "a.c")
    assert files(alone)["a.su"] == b"evil"
    hostile.send("a.su", pb.FurtherOutput.STACK_USAGE)
    assert "not asked for" in alone.compile("gcc", "-fstack-usage", "-c", "a.c").stderr


def test_messages_without_end_are_not_shown(alone: Home, hostile: HostileServer) -> None:
    hostile.stderr = "a.c:1:1: warning: x\n" * 300_000
    done = alone.compile("gcc", "-c", "a.c")
    assert (done.returncode, done.stderr, hostile.jobs) == (0, "", 1)
    assert files(alone)["a.o"].startswith(b"\x7fELF")


def test_a_version_does_not_steer_the_terminal(alone: Home, hostile: HostileServer) -> None:
    hostile.version = "12\x1b]0;owned\x07\n\x1b[2J"
    done = alone.compile("gcc", "-c", "a.c")
    told = done.stderr + alone.run(LAUNCHER, "--explain", "gcc", "-c", "a.c").stdout + alone.log
    assert told.count("owned") >= 3  # on the terminal twice, and in the log
    assert "\x1b" not in told
    assert "\x07" not in told
