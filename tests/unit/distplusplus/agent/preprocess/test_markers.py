"""Which file a line of a preprocessed text is of."""

from __future__ import annotations

import pytest

from distplusplus.agent.preprocess.markers import entered_files, is_in_system_header, lines_agree, sections_of


def test_the_files_of_a_text_are_those_that_were_entered() -> None:
    text = b'# 0 "a.cc"\n# 1 "a.cc"\n# 1 "a b.h" 1\nint x;\n# 1 "/usr/s.h" 1 3 4\n# 9 "a b.h" 2\n  # 1 "x\\"y.h" 1\n'
    assert list(entered_files(text)) == [b"a b.h", b"/usr/s.h", b'x\\"y.h']
    assert list(entered_files(b'\n# 1 "cut')) == []
    assert list(entered_files(b"")) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            '# 0 "a.cc"\n#define X 1\n# 0 "<command-line>"\n# 1 "/s.h" 1 3 4\n\n# 0 "<command-line>" 2\n# 1 "a.cc"\n',
            True,
        ),
        ('# 1 "a.cc"\nint x;\n# 1 "h.h" 1\nint y;\n# 3 "a.cc" 2\n', True),
        ('# 1 "a.cc"\nint x; // # 7 "x" 1\n  # 1 "h \\".h" 1 3\nint y;\n# 3 "a.cc" 2\n', True),
        ('# 1 "a.cc"\nint x;\n# 1 "h.h" 1\n\n\n# 1 "i.h" 1\nint y;\n# 4 "h.h" 2\n# 3 "a.cc" 2\n', True),
        ('# 1 "a.cc"\nint x;\n# 1 "h.h" 1\nint y;\n# 2 "a.cc" 2\n', False),
        ('# 1 "a.cc"\nint x;\n# 1 "h.h" 1\n\n\n# 1 "i.h" 1\nint y;\n# 3 "h.h" 2\n# 3 "a.cc" 2\n', False),
        ('# 1 "a.cc"\n# 2 "a.cc" 2\n', False),
        ("", True),
    ],
)
def test_a_file_is_left_on_the_line_after_the_one_that_it_was_entered_from(text: str, expected: bool) -> None:
    assert lines_agree(text.encode()) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('# 1 "a.cc"\n', False),
        ('# 1 "a.cc"\n# 1 "/usr/s.h" 1 3 4\n', True),
        ('# 1 "a.cc"\n  # 1 "/usr/s.h" 1 3\nint x;\n', True),
        ('# 1 "/usr/s.h" 1 3\n  # 1 "own 3.h" 1\n', False),
        ('# 1 "own.h" 1\n/*\n # see "this" 3\n*/ // # 7 "x" 3\n', False),
        ("", False),
    ],
)
def test_the_last_marker_tells_of_a_system_header(text: str, expected: bool) -> None:
    assert is_in_system_header(f"{text}#pragma".encode(), len(text)) is expected


def test_the_sections_of_a_file() -> None:
    text = b'# 1 "a.cc"\none\n  # 1 "h.h" 1\nh\n# 3 "a.cc" 2\nthree // # 9 "a.cc"\n\n'
    assert list(sections_of(b"a.cc", text)) == [(1, [b"one"]), (3, [b'three // # 9 "a.cc"', b"", b""])]
    assert list(sections_of(b"h.h", text)) == [(1, [b"h"])]
    assert list(sections_of(b"other.h", text)) == []
