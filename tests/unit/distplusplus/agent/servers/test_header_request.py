"""What one worker is told of inputs, and when it is told again."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from distplusplus.agent.headers.closure import DoubtError, Inputs
from distplusplus.agent.headers.header_jobs import HeaderJob
from distplusplus.agent.headers.known_files import KnownFiles
from distplusplus.agent.servers.header_request import InputTable, add_contents
from distplusplus.compiler.header_arguments import HeaderCommand
from distplusplus.protocol import compression
from distplusplus.protocol import distplusplus_pb2 as pb

NO_COMMAND = HeaderCommand((), (), (), (), b"", None)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "a.c"
    path.write_text("int x;\n")
    return path


def job_of(source: Path) -> HeaderJob:
    known = KnownFiles()
    known.begin()
    inputs = Inputs(((str(source), known.file(str(source))),), ("/w",), (("/l", "w"),), ())
    return HeaderJob(NO_COMMAND, inputs, "a.c", "/w", b"")


def described(table: InputTable, job: HeaderJob) -> pb.HeaderJob:
    request = pb.HeaderJob()
    table.describe(job, request)
    return request


def test_inputs_are_described_until_the_worker_has_answered(source: Path) -> None:
    table, job = InputTable(), job_of(source)
    first = described(table, job)
    digest = hashlib.sha256(source.read_bytes()).digest()
    assert [(given.path, given.digest, given.target) for given in first.newInput] == [
        ("/w", b"", ""), (str(source), digest, ""), ("/l", b"", "w"),
    ]  # fmt: skip
    assert described(table, job) == first
    table.confirm(first)
    again = described(table, job)
    assert (again.table, again.input) == (first.table, first.input)
    assert not again.newInput


def test_a_worker_that_has_forgotten_is_told_all_in_another_table(source: Path) -> None:
    table, job = InputTable(), job_of(source)
    first = described(table, job)
    table.confirm(first)
    table.reset()
    second = described(table, job)
    assert second.table != first.table
    assert len(second.newInput) == 3
    table.confirm(first)
    assert len(described(table, job).newInput) == 3, "a late answer says nothing of the new table"


def test_a_changed_file_is_another_input(source: Path) -> None:
    table = InputTable()
    first = described(table, job_of(source))
    table.confirm(first)
    source.write_text("int y;\n")
    second = described(table, job_of(source))
    assert [given.path for given in second.newInput] == [str(source)]
    assert set(second.input) - set(first.input) == {second.newInput[0].number}


def test_contents_are_those_that_the_worker_lacks_now(source: Path) -> None:
    job, request = job_of(source), pb.HeaderJob()
    digest = job.inputs.files[0][1].digest
    for _ in range(2):
        add_contents(job, [digest], request, 1)
        (content,) = request.content
        assert content.digest == digest
        assert compression.unpack(content.file, 100) == b"int x;\n"
    add_contents(job, [], request, 1)
    assert not request.content


def test_a_file_that_changed_after_the_scan_is_not_sent(source: Path) -> None:
    job = job_of(source)
    source.write_text("int y;\n")
    with pytest.raises(DoubtError, match="changed since"):
        add_contents(job, [job.inputs.files[0][1].digest], pb.HeaderJob(), 1)
