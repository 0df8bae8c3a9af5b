"""What keeps a preprocessed text from being compiled elsewhere."""

from __future__ import annotations

import pytest

from distplusplus.agent.preprocess.preprocessed import reason_to_stay

OWN, SYSTEM = b'# 1 "a.c"\n', b'# 1 "a.c"\nint x;\n# 37 "/usr/lib/avx.h" 1 3 4\n'


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (OWN + b"int x;\n", None),
        (OWN + b'__asm__(".incbin \\"f\\"");\n', "includes a file"),
        (OWN + b'#pragma GCC target("avx2")\n', "changes the compiler's options"),
        (SYSTEM + b'#pragma GCC target("avx2")\n', None),
        (
            SYSTEM + b'#pragma GCC target("avx2")\n# 3 "a 3.c" 2\n#pragma GCC optimize ("O3")\n',
            "changes the compiler's",
        ),
        (b'#pragma GCC optimize ("O3")\n', "changes the compiler's options"),
    ],
)
def test_what_only_this_machine_can_do_is_found(text: bytes, reason: str | None) -> None:
    found = reason_to_stay(text, clang=False)
    assert found is None if reason is None else found is not None and reason in found


def test_clang_does_not_know_these_pragmas() -> None:
    assert reason_to_stay(OWN + b'#pragma GCC target("avx2")\n', clang=True) is None


def test_names_that_clang_maps_here_are_not_left_to_it_there() -> None:
    text = OWN + b"const char *f = __builtin_FILE();\n"
    assert reason_to_stay(text, clang=False) is None
    assert reason_to_stay(text, clang=True, maps_names=True) is not None


def test_pragmas_about_warnings_matter_where_there_are_any() -> None:
    text = OWN + b'#pragma GCC diagnostic ignored "-Wundef"\n'
    assert reason_to_stay(text, clang=False) is None
    assert reason_to_stay(text, clang=False, warned=True) is not None
    assert reason_to_stay(OWN, clang=False, warned=True) is None
