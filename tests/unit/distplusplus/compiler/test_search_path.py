"""Where compilers look for headers, from what they say."""

from __future__ import annotations

import shutil

import pytest

from distplusplus.compiler import search_path
from distplusplus.compiler.own_headers import ask
from distplusplus.compiler.search_path import NoSearchPathError

SAID = """\
ignoring nonexistent directory "/nonexistent"
#include "..." search starts here:
 quoted
#include <...> search starts here:
 /usr/include/c++/12
 with a blank
End of search list.
"""


def test_both_lists_are_read() -> None:
    assert search_path.lists(SAID) == (("quoted",), ("/usr/include/c++/12", "with a blank"))


@pytest.mark.parametrize(
    "said",
    [
        "",
        SAID.replace("End of search list.", ""),
        SAID.replace("with a blank", "/F (framework directory)"),
        "gibberish",
    ],
)
def test_anything_else_is_no_answer(said: str) -> None:
    with pytest.raises(NoSearchPathError):
        search_path.lists(said)


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_real_compilers_have_directories_of_their_own_and_take_the_system_s_from_a_root(compiler: str) -> None:
    path = shutil.which(compiler)
    assert path is not None
    clang = compiler == "clang"
    _, angle = search_path.lists(ask(path, search_path.question("c++", clang=clang, own=False), {}))
    own = search_path.own_directories(ask(path, search_path.question("c++", clang=clang, own=True), {}))
    assert own
    assert set(own) < set(angle)
    assert "/usr/include" in set(angle) - set(own)
