"""Where directories really are, and by which links."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from distplusplus.agent.headers.places import Place, Places


@pytest.fixture
def root(tmp_path: Path) -> str:
    for name in ("a/b", "c/d"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "absolute").symlink_to(tmp_path / "c")
    (tmp_path / "a/relative").symlink_to("../c/./d")
    (tmp_path / "twice").symlink_to("a/relative")
    (tmp_path / "loop").symlink_to("loop")
    return os.path.realpath(tmp_path)


@pytest.mark.parametrize(
    ("asked", "links"),
    [
        ("a/b", set()),
        ("a/./b/../b/", set()),
        ("absolute/d", {"absolute"}),
        ("a/relative", {"a/relative"}),
        ("twice", {"twice", "a/relative"}),
        ("a/relative/../d", {"a/relative"}),
    ],
)
def test_the_real_place_and_the_links_to_it(root: str, asked: str, links: set[str]) -> None:
    into = Place()
    real = Places().of(f"{root}/{asked}", into)
    assert real == os.path.realpath(f"{root}/{asked}")
    assert {os.path.relpath(link, root) for link in into.links} == links
    assert all(os.readlink(link) == target for link, target in into.links.items())
    assert real in into.directories


def test_what_does_not_exist_or_never_ends_ends_the_walk(root: str) -> None:
    assert Places().of(f"{root}/a/none/x", Place()) == f"{root}/a"
    into = Place()
    assert Places().of(f"{root}/loop/x", into) == root
    assert list(into.links) == [f"{root}/loop"]


def test_links_are_followed_as_often_as_linux_does(root: str) -> None:
    os.symlink("a", f"{root}/0")
    for number in range(1, 45):
        os.symlink(str(number - 1), f"{root}/{number}")
    assert Places().of(f"{root}/39", Place()) == f"{root}/a"
    assert Places().of(f"{root}/40", Place()) == root
    with pytest.raises(OSError, match="symbolic links"):
        os.stat(f"{root}/40")


def test_a_link_that_leads_elsewhere_now_is_noticed(root: str) -> None:
    places = Places()
    assert places.of(f"{root}/absolute", Place()) == f"{root}/c"
    os.unlink(f"{root}/absolute")
    os.symlink("a", f"{root}/absolute")
    into = Place()
    assert places.of(f"{root}/absolute", into) == f"{root}/a"
    assert into.links == {f"{root}/absolute": "a"}


def test_a_directory_that_is_made_later_is_found(root: str) -> None:
    places = Places()
    assert places.of(f"{root}/new", Place()) == root
    os.mkdir(f"{root}/new")
    assert places.of(f"{root}/new", Place()) == f"{root}/new"
