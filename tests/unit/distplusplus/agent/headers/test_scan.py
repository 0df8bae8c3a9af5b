"""What a scan finds in one file: too much is allowed, too little is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distplusplus.agent.headers.scan import Form, Operand, definitions, is_called_with_a_macro, scan

QUOTED, ANGLED = Operand(Form.QUOTE, b"x.h"), Operand(Form.ANGLE, b"x.h")


@pytest.mark.parametrize(
    "text",
    [
        b'#include "x.h"',
        b'  #  include\t"x.h" // why',
        b'/* a\n * b */ #include "x.h"',
        b'# /* c */ include /* d */ "x.h"',
        b'#inc\\\nlude "x.h"',
        b'#include \\  \n "x.h"',
        b'%:include "x.h"',
        b'??=include "x.h"',
        b'#import "x.h"',
        b'#if 0\n#include "x.h"\n#endif',
        b'#if __has_include("x.h")',
        b'#ifdef __has_include\n#  if 1 && __has_include ( "x.h" )',
        b'int a; /* \n */#include "x.h"',
        b'#include "x.h"\r\n',
    ],
)
def test_a_name_in_quotes_is_found(text: bytes) -> None:
    assert QUOTED in scan(text).operands


def test_names_in_angle_brackets_and_the_next_one_are_told_apart() -> None:
    found = scan(b"#include <x.h>\n#include_next <x.h>\n#if __has_include_next(<y.h>)\n").operands
    assert found == (ANGLED, Operand(Form.ANGLE, b"x.h", is_next=True), Operand(Form.ANGLE, b"y.h", is_next=True))


@pytest.mark.parametrize("text", [b"#include X\n", b"/* */ #include X(1)\n", b"# include_next X"])
def test_an_include_of_a_macro_is_computed(text: bytes) -> None:
    assert scan(text).computed


@pytest.mark.parametrize("text", [b"// see #include directives", b"/* the #include files */", b'puts("#include me");'])
def test_words_in_a_comment_or_a_string_are_not_computed(text: bytes) -> None:
    assert not scan(text).computed


def test_literals_are_those_of_definitions_and_conditions() -> None:
    found = scan(b'#define CONFIG "x.h"\nchar s[] = "no.h";\n#if HAS(<y.h>)\n#endif\n')
    assert found.literals == (QUOTED, Operand(Form.ANGLE, b"y.h"))
    assert found.arguments == (Operand(Form.ANGLE, b"y.h"),)
    assert not found.pieced


def test_what_asks_for_a_macro_s_file_is_known() -> None:
    assert scan(b"#if __has_include(CONFIG)\n").asked == (b"CONFIG",)
    wrapper = scan(b"#define HAS(x) __has_include(x)\n")
    assert (wrapper.wrappers, wrapper.asked) == ((b"HAS",), ())
    replacement = scan(b"#ifndef __has_include\n#define __has_include(x) 0\n#endif\n")
    assert (replacement.wrappers, replacement.asked) == ((), ())


def test_a_name_made_of_a_parameter_cannot_be_answered() -> None:
    assert b"" in scan(b"#define HAS(x) __has_include(<x.h>)\n").asked
    assert definitions(b"", b"") is None
    assert scan(b"#define HAS_STD(x) HAS(<x>)\n").pieced


def test_definitions_are_plain_names_or_nothing_certain() -> None:
    assert definitions(b'#define C "x.h"\n#define C <x.h>\n', b"C") == [QUOTED, ANGLED]
    assert definitions(b"#define D 1\n", b"C") == []
    assert definitions(b"#define C OTHER\n", b"C") is None
    assert definitions(b'#define C() "x.h"\n', b"C") is None


def test_calls_of_a_wrapper_with_a_macro_are_seen() -> None:
    assert is_called_with_a_macro(b"#define HAS(x) 0\n#if HAS(CONFIG)\n", b"HAS")
    assert not is_called_with_a_macro(b"#define HAS(x) 0\n#if HAS(<y.h>) || HAS_MORE(z)\n", b"HAS")


def test_once_and_import_are_noted() -> None:
    assert scan(b"#pragma once\n").is_once
    assert scan(b'_Pragma("once")\n').is_once
    assert not scan(b"// once upon a time\n").is_once
    assert scan(b"#import <x.h>\n").imports


@pytest.mark.parametrize(
    "text",
    [
        b"char t[] = __DATE__;",
        b"char t[] = __TIMESTAMP__;",
        b"char t[] = __BASE_FILE__;",
        b'asm(".incbin \\"x\\"");',
        b"#embed <x>",
        b"#if __has_embed(<x>)",
        b"#pragma GCC dependency <x>",
        b'#pragma GCC pch_preprocess "x.gch"',
    ],
)
def test_what_may_differ_elsewhere_is_doubted(text: bytes) -> None:
    assert scan(text).doubts


def test_plain_code_is_not_doubted() -> None:
    assert scan(b"template <class T> void embed(T dependency);\n").doubts == ()


_GAPS = st.lists(st.sampled_from([b" ", b"\t", b"\\\n", b"/* c */", b"/* # */"]), max_size=3).map(b"".join)
_BEFORE = st.sampled_from([b"", b"\n", b"int x;\n", b"/* a\n b */", b"// c\n", b'#define A "s" \\\n + 1\n', b"/**/"])


@given(_BEFORE, _GAPS, _GAPS, _GAPS, st.sampled_from([b"#", b"%:", b"??="]), st.sampled_from([b'"x.h"', b"<x.h>"]))
def test_no_spelling_of_a_directive_is_missed(
    before: bytes, first: bytes, second: bytes, third: bytes, mark: bytes, name: bytes
) -> None:
    text = before + first + mark + second + b"include" + third + name + b"\n"
    assert (QUOTED if name.startswith(b'"') else ANGLED) in scan(text).operands, text


@given(st.binary(max_size=300))
def test_any_bytes_can_be_scanned(data: bytes) -> None:
    scan(data)
    definitions(data, b"A")
