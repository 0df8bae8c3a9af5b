"""What a client may say in a header job, and where its files go."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distplusplus.cas.store import Store
from distplusplus.compiler.not_allowed import NotAllowedError
from distplusplus.protocol import compression
from distplusplus.protocol import distplusplus_pb2 as pb
from distplusplus.protocol.refusals import CallRefused
from distplusplus.server import header_job
from distplusplus.server.header_job import Laid, Tables, lay, missing, store_contents
from distplusplus.server.job_files import Stop, StoppedError

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


def laid(
    store: Store,
    directory: Path,
    *inputs: pb.HeaderJob.Input,
    cwd: str = "/w",
    source: str = "a.c",
    arguments: tuple[str, ...] = ("-I\x01/inc", "-g"),
    max_bytes: int = 1 << 20,
    **fields: Any,
) -> Laid:
    described = job(*inputs, directory="/w", source=source, **fields)
    request = pb.CompileRequest(headerJob=described, cwd=cwd, argument=arguments)
    found = Tables().inputs("me", described)
    assert found is not None
    directory.mkdir(exist_ok=True)
    return lay(store, "me", request, found, "/usr/bin/gcc", str(directory), max_bytes, Stop(), clang=False)


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
    with pytest.raises(CallRefused, match="two inputs"):
        laid(
            store, tmp_path / "job", entry("/w", 0), entry("/x", 1, target=target), entry("/x/evil", 2, DIGEST),
            entry("/w/a.c", 3, DIGEST),
        )  # fmt: skip
    assert list(outside.iterdir()) == []


def test_no_link_is_made_through_another_link(store: Store, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    target = os.path.relpath(outside, tmp_path / "job/r")
    with pytest.raises(CallRefused, match="two inputs"):
        laid(store, tmp_path / "job", entry("/w", 0), entry("/x", 1, target=target), entry("/x/y/evil", 2, target="z"))
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize("target", ["../../outside", "/../../outside", "../../nothing"])
def test_a_working_directory_that_a_link_leads_out_of_the_root_is_refused(
    store: Store, tmp_path: Path, target: str
) -> None:
    (tmp_path / "outside").mkdir()
    with pytest.raises(CallRefused, match="working directory"):
        laid(store, tmp_path / "job", entry("/w", 0, target=target))


@pytest.mark.parametrize("source", ["", "-fplugin=/w/evil.so", "@/w/arguments", "a\x01", "\x01/w/\x01", "a\0b"])
def test_a_source_is_never_an_option(store: Store, tmp_path: Path, source: str) -> None:
    with pytest.raises((CallRefused, NotAllowedError)):
        laid(store, tmp_path / "job", entry("/w", 0), source=source)


def test_an_absolute_source_lies_below_the_root(store: Store, tmp_path: Path) -> None:
    done = laid(store, tmp_path / "job", entry("/w", 0), entry("/w/a.c", 1, DIGEST), source="\x01/w/a.c")
    assert f"{done.root}/w/a.c" in done.argv


def test_one_content_under_many_paths_counts_many_times(store: Store, tmp_path: Path) -> None:
    files = [entry(f"/w/{number}.h", number, DIGEST) for number in range(1, 4)]
    limit = 3 * len(CONTENT)
    assert laid(store, tmp_path / "fits", entry("/w", 0), *files, max_bytes=limit).input_bytes == limit
    with pytest.raises(CallRefused, match="max-input"):
        laid(store, tmp_path / "job", entry("/w", 0), *files, max_bytes=limit - 1)


def test_the_number_of_directories_is_bounded(store: Store, tmp_path: Path) -> None:
    deep = [entry(f"/{number}" + "/d" * 1000, number) for number in range(41)]
    with pytest.raises(CallRefused, match="number of directories"):
        laid(store, tmp_path / "job", *deep)
    assert list((tmp_path / "job/r").iterdir()) == []


def test_arguments_that_no_program_could_be_given_are_refused(store: Store, tmp_path: Path) -> None:
    with pytest.raises(CallRefused, match="too long"):
        laid(store, tmp_path / "job", entry("/w", 0), arguments=("-DX=" + "\x01" * (2 << 20),))


def test_the_numbers_of_inputs_and_contents_are_bounded(store: Store) -> None:
    with pytest.raises(CallRefused):
        Tables().inputs("me", pb.HeaderJob(table=TABLE, input=[1] * 40_001))
    with pytest.raises(CallRefused):
        Tables().inputs("me", pb.HeaderJob(table=TABLE, newInput=[entry("/a", 1)] * 40_001))
    with pytest.raises(CallRefused):
        store_contents(store, "me", pb.HeaderJob(content=[pb.HeaderJob.Content()] * 40_001), 100, Stop())


@pytest.mark.parametrize(("count", "target"), [(100, "x" * 4096), (1500, "x")])
def test_tables_are_bounded_by_what_they_hold(monkeypatch: pytest.MonkeyPatch, count: int, target: str) -> None:
    monkeypatch.setattr(header_job, "_MAX_TABLES_BYTES", 1 << 20)
    tables = Tables()
    names = [number.to_bytes(16, "big") for number in range(3)]
    for name in names:
        tables.inputs("me", job(*(entry(f"/{number}", number, target=target) for number in range(count)), table=name))
    known = [tables.inputs("me", pb.HeaderJob(table=name, input=[1])) is not None for name in names]
    assert known == [False, True, True]


def test_the_compiler_is_told_what_the_job_wants(store: Store, tmp_path: Path) -> None:
    inputs = entry("/w", 0), entry("/w/a.c", 1, DIGEST)
    plain = laid(store, tmp_path / "plain", *inputs)
    work = f"{tmp_path}/plain/w"
    assert plain.argv[-6:] == ("-isysroot", plain.root, "-c", "a.c", "-o", f"{work}/o")
    more = laid(store, tmp_path / "more", *inputs, assembly=True, dependencies=True)
    work = f"{tmp_path}/more/w"
    assert more.argv[-8:] == ("-isysroot", more.root, "-MF", f"{work}/d", "-S", "a.c", "-o", f"{work}/o")


def test_the_user_s_prefix_map_wins(store: Store, tmp_path: Path) -> None:
    user_s = "-ffile-prefix-map=\x01/w=/x"
    done = laid(store, tmp_path / "job", entry("/w", 0), arguments=(user_s,))
    assert done.argv[1:3] == (f"-ffile-prefix-map={done.root}=", user_s.replace("\x01", done.root))


def test_a_content_that_went_meanwhile_is_worth_another_call(store: Store, tmp_path: Path) -> None:
    with pytest.raises(CallRefused, match="thrown away") as raised:
        laid(store, tmp_path / "job", entry("/w", 0), entry("/w/a.c", 1, bytes(32)))
    assert raised.value.retry_after_ms


def test_a_table_that_is_used_is_kept() -> None:
    tables = Tables()
    for number in range(200):
        tables.inputs("me", job(entry("/a", 1), table=number.to_bytes(16, "big")))
        assert tables.inputs("me", pb.HeaderJob(table=bytes(16), input=[1])) is not None, number


def test_a_table_has_a_bounded_number_of_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(header_job, "_MAX_INPUTS", 3)
    tables = Tables()
    assert tables.inputs("me", job(*(entry(f"/{number}", number) for number in range(3)))) is not None
    assert tables.inputs("me", job(entry("/x", 3))) is None
    assert tables.inputs("me", pb.HeaderJob(table=TABLE, input=[0])) is None


def test_a_stopped_job_makes_no_directory(store: Store, tmp_path: Path) -> None:
    stop = Stop()
    stop.set()
    (tmp_path / "job").mkdir()
    request = pb.CompileRequest(headerJob=job(entry("/w", 0), directory="/w", source="a.c"), cwd="/w")
    found = Tables().inputs("me", request.headerJob)
    assert found is not None
    with pytest.raises(StoppedError):
        lay(store, "me", request, found, "/usr/bin/gcc", str(tmp_path / "job"), 1, stop, clang=False)
    assert list((tmp_path / "job/r").iterdir()) == []


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
