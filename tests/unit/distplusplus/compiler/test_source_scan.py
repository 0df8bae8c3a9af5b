"""What a source holds that may be lost when its macros are left to a server."""

from __future__ import annotations

import pytest

from distplusplus.compiler.source_scan import Scanned, SourceKind, examine, reads_comments


@pytest.mark.parametrize(
    "source",
    [
        "",
        "int pragma; // a pragma, and # of them\n",
        "#pragma once\n",
        "#pragma once",
        "  #  pragma \t pack ( push )\n",
        "#pragma\r\n#pragma GCC  system_header\r\n",
        "%:pragma GCC diagnostic push\n",
        "#pragma STDC FENV_ACCESS ON\n#pragma warning(disable : 4996)\n#pragma comment(lib, x)\n",
        '_Pragma("GCC diagnostic push")\n#define DO(x) _Pragma(#x)\n',
        "#pragma omp parallel for\n",
        "int __DATE, TIME__;\n",
        "//#pragma message(x)\n",
        ' // #pragma push_macro("x")\n',
        '// the "#pragma" directive\n* #pragma message\n',
    ],
)
def test_ordinary_sources_are_not_suspect(source: str) -> None:
    assert examine(source.encode()) == Scanned(SourceKind.PLAIN)


@pytest.mark.parametrize(
    "source",
    [
        '_Pragma("pop_macro(x)")\n',
        '#pragma \\\n push_macro("x")\n',
        '#pragma push_macro("x")\n#line 7 "other.y"\n',
        '#pragma push_macro("x")\n # 7 "other.y"\n',
        '%:pragma push_macro("x")\n',
        '#define PUSH(x) _Pragma("push_macro(x)")\n',
        "#pragma redefine_extname a b\n",
        '#  pragma message "text"\n',
        "%:pragma message(x)\n",
        "??=pragma message(x)\n",
        "#/**/pragma message(x)\n",
        "#\\\npragma message(x)\n",
        "#pragma\\\n message(x)\n",
        "#pragma/**/message(x)\n",
        "#pragma GCC poison name\n",
        '#pragma GCC dependency "x"\n',
        '#pragma GCC warning "x"\n',
        "#pragma once_more\n",
        "#pragma weakness\n",
        "#pragma unheard_of\n",
        "const char *when = __DATE__;\n",
        "__TIME__",
        "__TIMESTAMP__",
        "__BASE_FILE__",
        'asm(".incbin \\"x\\"");\n',
    ],
)
def test_what_such_a_text_may_lack_is_suspect(source: str) -> None:
    assert examine(source.encode()) == Scanned(SourceKind.SUSPECT)


def test_a_pragma_that_would_be_lost_is_named() -> None:
    assert examine(b"int x;\n#pragma redefine_extname a b\n").why == "holds '#pragma redefine_extname a b' in line 2"
    assert examine(b"__TIME__").why == "holds __TIME__"


def test_a_message_that_is_passed_over_for_certain_is_lost_to_nobody() -> None:
    guarded = b'#ifdef _MSC_VER\n#pragma message("x")\n#endif\n'
    assert examine(guarded) == Scanned(SourceKind.PLAIN, guarded=((frozenset({b"_MSC_VER"}),),))
    for source in (
        guarded.replace(b"message", b"redefine_extname"),
        guarded + b'#pragma message("y")\n',
        b"??" + guarded,
    ):
        assert examine(source).kind == SourceKind.SUSPECT


@pytest.mark.parametrize(
    ("source", "levels"),
    [
        ("/* fall through */", {1, 2, 3, 4}),
        ("// FALLTHRU", {1, 2, 3, 4}),
        ("//  Else, fall-through - as before", {1, 2, 3, 4}),
        ("/*-fallthrough*/", {1, 2, 3, 4}),
        ("/*@fallthrough@*/", {1, 2, 3, 4}),
        ("/* it falls thru here */", {1, 2}),
        ("/* another comment */", {1}),
        ("[[fallthrough]]; __attribute__((fallthrough)); fallthrough;", {2}),
        ("int x;", set()),
    ],
)
def test_comments_that_keep_gcc_from_warning(source: str, levels: set[int]) -> None:
    assert {level for level in range(7) if reads_comments(level, source.encode())} == levels
