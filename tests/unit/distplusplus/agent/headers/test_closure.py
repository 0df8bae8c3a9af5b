"""All files that a compile may read, found in real directories."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from distplusplus.agent.headers import closure
from distplusplus.agent.headers.closure import Closures, DoubtError, Inputs
from distplusplus.agent.headers.known_files import KnownFiles
from distplusplus.compiler.search_path import SearchPath


class Tree:
    """A directory with sources, a system's headers and a compiler's own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.closures = Closures(KnownFiles())
        self.path = SearchPath((), (str(root / "own"), str(root / "system")), (str(root / "own"),))
        for name in ("own", "system", "work"):
            (root / name).mkdir()

    def write(self, **files: str) -> None:
        for name, text in files.items():
            path = self.root / name.replace("__", "/").replace("_h", ".h").replace("_c", ".c")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def find(self, *forced: str, defined: bytes = b"", **directories: tuple[str, ...]) -> Inputs:
        angle = (*directories.get("include", ()), *self.path.angle)
        path = SearchPath(directories.get("quote", ()), angle, self.path.own)
        return self.closures.find("a.c", forced, str(self.root / "work"), path, defined)

    def names(self, inputs: Inputs) -> set[str]:
        return {os.path.relpath(path, self.root) for path, _ in inputs.files}


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def test_what_is_included_is_found_and_the_compiler_s_own_is_apart(tree: Tree) -> None:
    tree.write(work__a_c='#include "b.h"\n#include <s.h>\n#include <o.h>\n', work__b_h="", system__s_h="", own__o_h="")
    inputs = tree.find()
    assert tree.names(inputs) == {"work/a.c", "work/b.h", "system/s.h"}
    assert [os.path.basename(file.path) for file in inputs.own] == ["o.h"]


def test_the_first_directory_of_the_search_wins_and_next_finds_all(tree: Tree) -> None:
    tree.write(
        work__a_c="#include <x.h>\n", work__first__x_h="#include_next <x.h>\n", work__second__x_h="", system__x_h=""
    )
    assert tree.names(tree.find(include=("first", "second"))) == {
        "work/a.c", "work/first/x.h", "work/second/x.h", "system/x.h",
    }  # fmt: skip
    tree.write(work__first__x_h="")
    assert tree.names(tree.find(include=("first", "second"))) == {"work/a.c", "work/first/x.h"}


def test_a_header_that_comes_or_goes_or_changes_is_noticed(tree: Tree) -> None:
    tree.write(work__a_c="#include <x.h>\n", system__x_h="", work__inc__y_h="")
    assert tree.names(tree.find(include=("inc",))) == {"work/a.c", "system/x.h"}
    tree.write(work__inc__x_h="")
    assert tree.names(tree.find(include=("inc",))) == {"work/a.c", "work/inc/x.h"}
    tree.write(work__inc__x_h='#include "y.h"\n')
    assert tree.names(tree.find(include=("inc",))) == {"work/a.c", "work/inc/x.h", "work/inc/y.h"}
    (tree.root / "work/inc/x.h").unlink()
    assert tree.names(tree.find(include=("inc",))) == {"work/a.c", "system/x.h"}


def test_a_file_written_again_at_once_is_read_again(tree: Tree) -> None:
    """Its times may be the same: the file system's clock ticks slowly."""
    tree.write(work__a_c='#include "x.h"\n', work__x_h="1")
    for number in range(20):
        tree.write(work__x_h=str(number % 10))
        digests = {path: file.digest for path, file in tree.find().files}
        tree.write(work__x_h=str((number + 1) % 10))
        assert {path: file.digest for path, file in tree.find().files} != digests


def test_what_is_asked_for_is_sent(tree: Tree) -> None:
    tree.write(work__a_c="#if __has_include(<s.h>)\n#endif\n", system__s_h="")
    assert tree.names(tree.find()) == {"work/a.c", "system/s.h"}


def test_a_wrapper_s_names_are_those_of_its_callers(tree: Tree) -> None:
    tree.write(
        work__a_c='#include "has.h"\n#if HAS(<s.h>)\n#endif\n', work__has_h="#define HAS(x) __has_include(x)\n",
        system__s_h="",
    )  # fmt: skip
    assert tree.names(tree.find()) == {"work/a.c", "work/has.h", "system/s.h"}
    tree.write(work__a_c='#include "has.h"\n#if HAS(CONFIG)\n#endif\n')
    with pytest.raises(DoubtError, match="HAS"):
        tree.find()


@pytest.mark.parametrize("text", ["#if __has_include(CONFIG)\n", "#define CONFIG OTHER\n#if __has_include(CONFIG)\n"])
def test_a_question_that_cannot_be_foreseen_is_doubted(tree: Tree, text: str) -> None:
    tree.write(work__a_c=text + "#endif\n#define OTHER <s.h>\n#define CONFIG OTHER\n", system__s_h="")
    with pytest.raises(DoubtError, match="CONFIG"):
        tree.find()


def test_computed_includes_try_every_name_that_a_macro_has(tree: Tree) -> None:
    tree.write(work__a_c="#include CONFIG\n", work__b_h="", system__s_h="")
    assert tree.names(tree.find(defined=b'#define CONFIG "b.h"\n')) == {"work/a.c", "work/b.h"}
    tree.write(work__a_c="#define P(x) <x>\n#define N <s.h>\n#include P(N)\n")
    assert tree.names(tree.find()) == {"work/a.c", "system/s.h"}


def test_what_a_computed_name_could_be_mistaken_for_goes_too(tree: Tree) -> None:
    """`config.h` beside the source is not foreseen, but the other `config.h` is sent: both must be there."""
    tree.write(
        work__a_c='#include <other.h>\n#define S(x) #x\n#include S(config.h)\n', work__config_h="",
        work__inc__other_h='#include "config.h"\n', work__inc__config_h="",
    )  # fmt: skip
    assert tree.names(tree.find(include=("inc",))) == {
        "work/a.c", "work/config.h", "work/inc/other.h", "work/inc/config.h",
    }  # fmt: skip


def test_forced_files_go_and_are_looked_for_in_the_working_directory_first(tree: Tree) -> None:
    tree.write(work__a_c="", work__f_h='#include "g.h"\n', work__g_h="")
    assert tree.names(tree.find("f.h")) == {"work/a.c", "work/f.h", "work/g.h"}
    with pytest.raises(DoubtError, match=r"missing\.h"):
        tree.find("missing.h")


def test_links_are_made_again_and_files_are_at_their_real_places(tree: Tree) -> None:
    tree.write(work__a_c='#include "link/x.h"\n', work__real__x_h='#include "../y.h"\n', work__y_h="")
    (tree.root / "work/link").symlink_to("real")
    inputs = tree.find()
    assert tree.names(inputs) == {"work/a.c", "work/real/x.h", "work/y.h"}
    assert (str(tree.root / "work/link"), "real") in inputs.links
    assert str(tree.root / "work/real") in inputs.directories


def test_directories_that_are_only_gone_through_are_made(tree: Tree) -> None:
    tree.write(work__a_c='#include "empty/../x.h"\n', work__x_h="")
    (tree.root / "work/empty").mkdir()
    inputs = tree.find()
    assert tree.names(inputs) == {"work/a.c", "work/x.h"}
    assert str(tree.root / "work/empty") in inputs.directories


def test_a_directory_with_a_header_s_name_is_passed_over(tree: Tree) -> None:
    tree.write(work__a_c="#include <new>\n")
    (tree.root / "work/inc/new").mkdir(parents=True)
    (tree.root / "system/new").write_text("")
    assert tree.names(tree.find(include=("inc",))) == {"work/a.c", "system/new"}


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({"work__a_c": '#include "b.h"\n', "work__b_h": "char d[] = __DATE__;\n"}, "time of the compile"),
        ({"work__a_c": "#include </etc/passwd>\n"}, "whole path"),
        ({"work__a_c": '#include "b.h"\n', "work__b_h": "", "work__b_h.gch": ""}, "precompiled"),
        (
            {
                "work__a_c": '#include "b.h"\n#include "c.h"\n',
                "work__b_h": "#pragma once\n",
                "work__c_h": "#pragma once\n",
            },
            "included once",
        ),
        ({"work__a_c": "#include <o.h>\n", "own__o_h": '#include "../system/s.h"\n', "system__s_h": ""}, "leaves"),
    ],
)  # fmt: skip
def test_doubts_are_raised_with_their_reason(tree: Tree, files: dict[str, str], why: str) -> None:
    tree.write(**files)
    with pytest.raises(DoubtError, match=why):
        tree.find()


def test_a_pipe_is_doubted_and_nobody_waits_for_its_writer(tree: Tree) -> None:
    tree.write(work__a_c='#include "p.h"\n')
    os.mkfifo(tree.root / "work/p.h")
    with pytest.raises(DoubtError, match="no regular file"):
        tree.find()


def test_a_source_that_is_missing_is_doubted(tree: Tree) -> None:
    with pytest.raises(DoubtError, match="No such file"):
        tree.find()


def test_results_are_forgotten_before_they_are_too_many(tree: Tree) -> None:
    tree.write(work__a_c="#include <s.h>\n", system__s_h="")
    for number in range(450):
        tree.find(include=(f"none-{number}",))
    system = tree.closures._known.file(str(tree.root / "system/s.h"))
    assert len(system.resolved) <= 200


def test_the_number_and_size_of_files_are_bounded(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    tree.write(work__a_c='#include "b.h"\n#include "c.h"\n', work__b_h="x" * 2_000_000, work__c_h="")
    assert len(tree.find().files) == 3
    monkeypatch.setattr(closure, "_MAX_BYTES", 1 << 20)
    with pytest.raises(DoubtError, match="more than 1 MiB"):
        tree.find()
    monkeypatch.setattr(closure, "_MAX_FILES", 2)
    with pytest.raises(DoubtError, match="more than 2 files"):
        tree.find()


def test_the_compiler_s_own_headers_may_name_the_time(tree: Tree) -> None:
    tree.write(work__a_c="#include <o.h>\n", own__o_h="char d[] = __DATE__;\n")
    assert len(tree.find().own) == 1


def test_equal_files_are_doubted_where_one_is_imported(tree: Tree) -> None:
    tree.write(work__a_c='#import "b.h"\n#include "c.h"\n', work__b_h="int x;\n", work__c_h="int x;\n")
    with pytest.raises(DoubtError, match="has the same contents"):
        tree.find()


def test_the_recorded_directory_is_made_too(tree: Tree) -> None:
    tree.write(work__a_c="")
    (tree.root / "link").symlink_to("work")
    work, link = str(tree.root / "work"), str(tree.root / "link")
    inputs = tree.closures.find("a.c", (), work, tree.path, recorded=link)
    assert (link, "work") in inputs.links
    assert work in inputs.directories
