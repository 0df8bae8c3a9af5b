"""The store of contents: apart by owner, checked, bounded, whole after anything."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distplusplus.cas.store import Store, StoreError

MIB = 1 << 20


def store(directory: Path, max_bytes: int = MIB, max_owner_bytes: int = MIB) -> Store:
    return Store(str(directory / "store"), max_bytes, max_owner_bytes)


def files(directory: Path) -> list[Path]:
    return [path for path in (directory / "store").rglob("*") if path.is_file() and path.name != "lock"]


def test_what_is_written_is_read_by_its_digest(tmp_path: Path) -> None:
    kept = store(tmp_path)
    digest = kept.write("me", b"content")
    assert digest == hashlib.sha256(b"content").digest()
    assert kept.has("me", digest)
    assert kept.read("me", digest) == b"content"
    assert store(tmp_path).read("me", digest) == b"content", "another server on the same directory"


def test_a_digest_alone_opens_nothing(tmp_path: Path) -> None:
    kept = store(tmp_path)
    digest = kept.write("me", b"secret")
    assert not kept.has("somebody", digest)
    assert kept.read("somebody", digest) is None


def test_a_damaged_content_is_not_given_out_and_can_be_stored_again(tmp_path: Path) -> None:
    kept = store(tmp_path)
    digest = kept.write("me", b"content")
    (path,) = files(tmp_path)
    path.write_bytes(b"damaged")
    assert kept.read("me", digest) is None
    assert not kept.has("me", digest)
    kept.write("me", b"content")
    assert kept.read("me", digest) == b"content"


def test_the_least_recently_used_contents_go(tmp_path: Path) -> None:
    kept = store(tmp_path, max_bytes=5000, max_owner_bytes=5000)
    digests = [kept.write("me", bytes([number]) * 1000) for number in range(5)]
    for age, path in enumerate(sorted(files(tmp_path), key=lambda path: path.read_bytes())):
        os.utime(path, (1_000_000 + age, 1_000_000 + age))
    assert kept.read("me", digests[0]) is not None, "used: it is the newest now"
    kept.write("me", b"x" * 1000)
    assert sum(path.stat().st_size for path in files(tmp_path)) <= 5000
    assert kept.has("me", digests[0])
    assert not kept.has("me", digests[1])


def test_one_owner_has_no_more_than_its_share(tmp_path: Path) -> None:
    kept = store(tmp_path, max_bytes=10_000, max_owner_bytes=3000)
    first = kept.write("me", b"a" * 1000)
    for number in range(20):
        kept.write("greedy", bytes([number]) * 1000)
    assert kept.has("me", first)
    assert sum(path.stat().st_size for path in files(tmp_path)) <= 4000


def test_what_can_never_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="more than the store takes"):
        store(tmp_path, max_bytes=100).write("me", b"x" * 101)


def test_a_directory_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file")
    with pytest.raises(StoreError, match="store"):
        store(tmp_path).write("me", b"x")


def test_what_a_killed_server_left_is_removed(tmp_path: Path) -> None:
    kept = store(tmp_path)
    kept.write("me", b"content")
    (path,) = files(tmp_path)
    left = path.parent / ".new-abc"
    left.write_bytes(b"half")
    os.utime(left, (1, 1))
    store(tmp_path).write("me", b"other")
    assert not left.exists()


def test_nobody_else_on_the_machine_can_look_into_the_store(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        store(tmp_path).write("me", b"secret")
    finally:
        os.umask(before)
    (path,) = files(tmp_path)
    assert path.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0


def test_what_another_server_is_writing_is_left_alone(tmp_path: Path) -> None:
    kept = store(tmp_path)
    kept.write("me", b"content")
    (path,) = files(tmp_path)
    being_written = path.parent / ".new-abc"
    being_written.write_bytes(b"half")
    store(tmp_path).write("me", b"other")
    assert being_written.exists()


def test_a_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(StoreError, match="No space left"):
        store(tmp_path).write("me", b"content")
    assert files(tmp_path) == []


def test_several_servers_share_a_directory(tmp_path: Path) -> None:
    servers = [store(tmp_path, max_bytes=4000, max_owner_bytes=4000) for _ in range(3)]
    for number in range(30):
        servers[number % 3].write("me", bytes([number]) * 500)
    # Each knows of the others only when it looks: at most what each of them adds comes on top.
    servers[0].write("me", b"z" * 500)
    assert sum(path.stat().st_size for path in files(tmp_path)) <= 3 * 4000


@given(st.text(), st.binary(max_size=100))
def test_any_owner_and_content(tmp_path_factory: pytest.TempPathFactory, owner: str, data: bytes) -> None:
    kept = store(tmp_path_factory.mktemp("any"))
    assert kept.read(owner, kept.write(owner, data)) == data
