"""What a text with unexpanded macros may lack, found in the files that went into it."""

from __future__ import annotations

from distplusplus.agent.preprocess.unexpanded import macro_pragmas_matter, may_be_taken
from distplusplus.compiler.source_scan import examine

# As GCC 11, 12 and 14 show it; the names of those that are carried out are in capitals.
PRAGMAS = """\
#pragma push_macro("A")
int first;
#ifdef NEVER
#  pragma pop_macro("a")
#endif
/* a
comment */
   #pragma push_macro("B") // comment
int a;
#if 0
1
2
3
4
5
6
7
8
9
#pragma push_macro("c")
#else
#pragma push_macro("D")
#endif
#include "e.h"
#pragma pop_macro("E")"""
SHOWN = f"""\
# 0 "a.cc"
# 1 "a.cc"
{7 * " "}
int first;



/* a
comment */
{13 * " "}
int a;
# 22 "a.cc"
{7 * " "}

  # 1 "e.h" 1
int e;
# 25 "a.cc" 2
{7 * " "}
"""


def test_pragmas_of_macros_matter_where_they_are_carried_out() -> None:
    lines = PRAGMAS.splitlines()
    found = examine(PRAGMAS.encode())
    assert [line for line, _ in found.macro_pragmas] == [n for n, line in enumerate(lines, 1) if "_macro" in line]
    defined = "".join(f"#define {macro.decode()} 1\n" for _, macro in found.macro_pragmas)
    text = f"{defined}{SHOWN}".encode()
    carried_out = [pragma for pragma in found.macro_pragmas if macro_pragmas_matter([pragma], b"a.cc", text)]
    assert carried_out == [pragma for pragma in found.macro_pragmas if pragma[1].isupper()]
    assert not macro_pragmas_matter(found.macro_pragmas, b"e.h", text)
    assert macro_pragmas_matter([(4, b"a")], b"another name", text)


def test_a_macro_that_is_never_defined_can_be_saved_and_restored() -> None:
    text = f"#define AB 1\n{SHOWN}".encode()
    assert not macro_pragmas_matter([(1, b"A")], b"a.cc", text)
    assert macro_pragmas_matter([(1, b"AB")], b"a.cc", text)
    assert macro_pragmas_matter([(1, b"__LINE__")], b"a.cc", text)


def test_what_hangs_on_macros_that_no_text_has() -> None:
    text = b"#define __GNUC__ 12\n#define AB 1\n"
    alternatives = (frozenset({b"A", b"__GNUC__"}), frozenset({b"_MSC_VER"}))
    assert not may_be_taken(alternatives, text)
    assert may_be_taken(alternatives[:1], text)
    assert may_be_taken((), text)
