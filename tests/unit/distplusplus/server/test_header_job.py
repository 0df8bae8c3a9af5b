"""What a client may say in a header job, and where its files go."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distplusplus.cas.store import Store
from distplusplus.compiler.not_allowed import NotAllowedError
from distplusplus.protocol import compression
from distplusplus.protocol import distplusplus_pb2 as pb
from distplusplus.protocol.refusals import CallRefused
from distplusplus.server.header_job import Laid, Tables, lay, missing, store_contents
from distplusplus.server.job_files import Stop

TABLE = bytes(16)
CONTENT = b"int x;\n"
DIGEST = hashlib.sha256(CONTENT).digest()


def entry(path: str, number: int = 0, digest: bytes = b"", target: str = "") -> pb.HeaderJob.Input:
    return pb.HeaderJob.Input(number=number, path=path, digest=digest, target=target)


def job(*inputs: pb.HeaderJob.Input, table: bytes = TABLE, **fields: object) -> pb.HeaderJob:
    numbers = [given.number for given in inputs]
    return pb.HeaderJob(table=table, newInput=inputs, input=numbers, **fields)  # type: ignore[arg-type]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    kept = Store(str(tmp_path / "store"), 1 << 20, 1 << 20)
    kept.write("me", CONTENT)
    return kept


def laid(store: Store, directory: Path, *inputs: pb.HeaderJob.Input, cwd: str = "/w", source: str = "a.c") -> Laid:
    described = job(*inputs, directory="/w", source=source)
    request = pb.CompileRequest(headerJob=described, cwd=cwd, argument=["-I\x01/inc", "-g"])
    found = Tables().inputs("me", described)
    assert found is not None
    directory.mkdir(exist_ok=True)
    return lay(store, "me", request, found, "/usr/bin/gcc", str(directory), Stop(), clang=False)


def test_a_table_is_remembered_by_owner_and_name() -> None:
    tables = Tables()
    first = tables.inputs("me", job(entry("/a", 1), entry("/b", 2)))
    assert first is not None
    assert [given.path for given in first] == ["/a", "/b"]
    again = tables.inputs("me", pb.HeaderJob(table=TABLE, input=[2]))
    assert again is not None
    assert again[0].path == "/b"
    assert tables.inputs("somebody", pb.HeaderJob(table=TABLE, input=[2])) is None
    assert tables.inputs("me", pb.HeaderJob(table=bytes(15) + b"x", input=[2])) is None
    assert tables.inputs("me", pb.HeaderJob(table=TABLE, input=[3])) is None


def test_tables_are_bounded() -> None:
    tables = Tables()
    for number in range(200):
        tables.inputs("me", job(entry("/a", 1), table=number.to_bytes(16, "big")))
    assert tables.inputs("me", pb.HeaderJob(table=(0).to_bytes(16, "big"), input=[1])) is None
    assert tables.inputs("me", pb.HeaderJob(table=(199).to_bytes(16, "big"), input=[1])) is not None


@pytest.mark.parametrize(
    "path", ["", "a", "/", "//a", "/a/", "/a/../b", "/./a", "/a//b", "/..", "/a\0b", "/" + "x" * 5000]
)
def test_a_path_that_is_not_plain_is_refused(path: str) -> None:
    with pytest.raises((CallRefused, NotAllowedError)):
        Tables().inputs("me", job(entry(path)))


@pytest.mark.parametrize("given", [entry("/a", digest=b"short"), entry("/a", digest=DIGEST, target="b")])
def test_an_input_of_no_kind_is_refused(given: pb.HeaderJob.Input) -> None:
    with pytest.raises(CallRefused):
        Tables().inputs("me", job(given))


def test_files_links_and_directories_are_laid_below_the_root(store: Store, tmp_path: Path) -> None:
    done = laid(
        store, tmp_path / "job", entry("/w", 0), entry("/w/a.c", 1, DIGEST), entry("/inc", 2, target="/real"),
        entry("/real", 3), entry("/l", 4, target="w"), cwd="/l",
    )  # fmt: skip
    root = Path(done.root)
    assert (root / "w/a.c").read_bytes() == CONTENT
    assert (root / "w/a.c").stat().st_mtime == 0
    assert os.readlink(root / "inc") == f"{root}/real"
    assert done.directory == f"{root}/w"
    assert done.recorded_directory == f"{root}/l"
    assert f"-I{root}/inc" in done.argv
    assert done.argv[1] == f"-ffile-prefix-map={root}="


def test_nothing_is_written_through_a_link(store: Store, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    target = os.path.relpath(outside, tmp_path / "job/r")
    with pytest.raises(OSError):  # noqa: PT011  (whichever comes first: the link is in the way of a directory)
        laid(
            store, tmp_path / "job", entry("/w", 0), entry("/x", 1, target=target), entry("/x/evil", 2, DIGEST),
            entry("/w/a.c", 3, DIGEST),
        )  # fmt: skip
    assert list(outside.iterdir()) == []


def test_a_working_directory_outside_the_inputs_is_refused(store: Store, tmp_path: Path) -> None:
    for number, cwd in enumerate(["/etc", "/w/../w", "w", "/other"]):
        with pytest.raises((CallRefused, NotAllowedError)):
            laid(
                store,
                tmp_path / f"job{number}",
                entry("/w", 0),
                entry("/w/a.c", 1, DIGEST),
                entry("/other", 2),
                cwd=cwd,
            )


def test_missing_contents_are_named_once_and_belong_to_their_owner(store: Store) -> None:
    inputs = Tables().inputs("me", job(entry("/a", 1, DIGEST), entry("/b", 2, bytes(32)), entry("/c", 3, bytes(32))))
    assert inputs is not None
    assert missing(store, "me", inputs) == [bytes(32)]
    assert missing(store, "somebody", inputs) == [DIGEST, bytes(32)]


def test_a_content_must_have_its_digest_and_fit(store: Store) -> None:
    given = pb.HeaderJob.Content(digest=bytes(32), file=compression.pack("", b"x", pb.zstd))
    with pytest.raises(CallRefused, match="digest"):
        store_contents(store, "me", pb.HeaderJob(content=[given]), 100, Stop())
    large = b"x" * 60
    many = [pb.HeaderJob.Content(digest=hashlib.sha256(large).digest(), file=compression.pack("", large, pb.zstd))] * 2
    with pytest.raises(compression.TooLargeError):
        store_contents(store, "me", pb.HeaderJob(content=many), 100, Stop())


@given(st.lists(st.tuples(st.text(max_size=20), st.binary(max_size=33), st.text(max_size=20)), max_size=5))
def test_no_description_does_more_than_be_refused(given: list[tuple[str, bytes, str]]) -> None:
    inputs = [entry(f"/{path}", number, digest, target) for number, (path, digest, target) in enumerate(given)]
    try:
        found = Tables().inputs("me", job(*inputs))
    except (CallRefused, NotAllowedError):
        return
    assert found is not None
    for each in found:
        assert os.path.normpath(each.path) == each.path
