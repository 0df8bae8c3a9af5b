"""Random programs that use every operator of the preprocessor, with comments and line ends wherever they may stand."""

from __future__ import annotations

import random
from collections.abc import Iterator

_HEAD = r"""
#include <assert.h>
#include <stdio.h>
#define TEXT_(...) #__VA_ARGS__
#define TEXT(...) TEXT_(__VA_ARGS__)
#define PASTE_(a, b) a ## b
#define PASTE(a, b) PASTE_(a, b)
#define FIRST_(a, ...) a
#define FIRST(...) FIRST_(__VA_ARGS__, 0)
#define SAME(...) __VA_ARGS__
#define NOTHING
#define EMPTY()
#define OBJECT object /* of a comment */ like
#define LINES __LINE__ /* here
    and there */ __LINE__
#define CHECK(e) do { assert(e); puts(#e); } while (0)
#define GREATER(a, b) ((a) /* a */ > /* b */ (b))
%: define DIGRAPH <: 1 %:%: 2 :>
"""
_OPTIONAL = r"""
#define GIVEN(x, ...) __VA_OPT__(many) x __VA_OPT__(: __VA_ARGS__)
#define COUNT(...) FIRST(__VA_OPT__(1 +) 0)
"""
# A # at the beginning of a line would be a directive.
_WORDS = (
    *(
        "a",
        "größe",
        "名前",
        "x1",
        "0",
        "42",
        ".5e+3",
        "0x1p-3",
        "1'000",
        "+",
        "- -",
        "->*",
        "&&",
        "_ %:",
        "<:",
        ":>",
        "...",
    ),
    *(
        '"text"',
        '"/* no comment */"',
        '"// nor this"',
        r'"\"\\ü"',
        "'c'",
        r"'\''",
        'u8"ü"',
        "{",
        "}",
        ";",
        "_ #",
        "_ # #",
        "_ ##",
    ),
    *("OBJECT", "LINES", "__LINE__", "NOTHING", "EMPTY()", "DIGRAPH", "SAME", "TEXT", "PASTE", "FIRST", "__COUNTER__0"),
)
_BLANKS = (
    *(" ", "  ", "\t", "", " ", " /* comment */ ", "/**/", "/* fall through */", "/* , ) */", '/* " */', "/* ' */"),
    *(" // to the end\n", "\n", " \\\n", "/* over\n two lines */", "\\\n", " /\\\n* spliced */ ", "/\\\n/ spliced\n"),
)


def program(seed: int, count: int, *, cxx: bool, optional: bool) -> str:
    """A source that prints what `count` small programs find out. `optional`: with __VA_OPT__."""
    rng = random.Random(seed)
    parts = [_HEAD, _OPTIONAL if optional else ""]
    for number in range(count):
        parts.append("".join(_function(rng, number, cxx, optional)))
    calls = "".join(f"    f{number}();\n" for number in range(count))
    return "".join(parts) + f"int main(void)\n{{\n{calls}    return 0;\n}}\n"


def _function(rng: random.Random, number: int, cxx: bool, optional: bool) -> Iterator[str]:
    tokens = _tokens(rng, 3, cxx, lines=False)
    yield f"#define OWN{number}(a, b, ...) #a #b #__VA_ARGS__ TEXT({tokens} a b __VA_ARGS__)\n"
    if rng.random() < 0.5:
        yield f"#define FLAG{number} {_blank(rng, lines=False)}{rng.randrange(3)}{_blank(rng, lines=False)}\n"
    yield f"static void f{number}(void)\n{{\n"
    yield f'    printf("{number}: %d\\n", __LINE__);\n'
    for _ in range(rng.randrange(1, 4)):
        yield rng.choice((_texts, _numbers, _branches))(rng, number, cxx, optional)
    yield "}\n"


def _texts(rng: random.Random, number: int, cxx: bool, optional: bool) -> str:
    own = ", ".join(_tokens(rng, rng.randrange(4), cxx) for _ in range(rng.randrange(2, 5)))
    made = [f"TEXT_({_tokens(rng, 6, cxx)})", f"TEXT({_tokens(rng, 6, cxx)})", f"OWN{number}({own})"]
    if optional:
        given = [_tokens(rng, rng.randrange(3), cxx) for _ in range(rng.randrange(1, 4))]
        made.append(f"TEXT(GIVEN({', '.join(given)}))")
    return f"    puts({rng.choice(made)});\n"


def _numbers(rng: random.Random, _number: int, cxx: bool, optional: bool) -> str:
    blank = _blank(rng)
    made = [
        f"PASTE({blank}{rng.randrange(1, 9)}{blank},{blank}{rng.randrange(9)}{blank})",
        f"FIRST({blank}{rng.randrange(9)}{blank}, {_blank(rng)}2)",
        f"SAME({blank}__LINE__{_blank(rng)})",
        f"(SAME({blank}GREATER{_blank(rng)}({blank}2, {_blank(rng)}__LINE__)))",
        f"(int)sizeof(TEXT({_tokens(rng, 4, cxx)}))",
    ]
    if optional:
        made.append(f"COUNT({rng.choice((blank, f'{blank}7'))})")
    check = f"    CHECK(2{_blank(rng)}>{blank}1 /* surely */ && GREATER(__LINE__,{_blank(rng)} 0));\n"
    return f'    printf("%d\\n", {rng.choice(made)});\n' + (check if rng.random() < 0.5 else "")


def _branches(rng: random.Random, number: int, cxx: bool, optional: bool) -> str:
    flag = f"FLAG{rng.randrange(number + 1)}"
    blank = _blank(rng, lines=False)
    condition = rng.choice(
        (
            f"defined{blank}({blank}{flag}{blank})",
            f"defined {flag} && {blank}{flag} > 1",
            f"!defined({flag}) || ({blank}{flag}{blank} == 0)",
            "__has_include(<stdio.h>)",
            f"{flag}{blank}+ 1 > 1 // {flag}",
            "__LINE__ % 2",
        )
    )
    return (
        f"#{blank}if {condition}\n{_texts(rng, number, cxx, optional)}"
        f"#elif{blank} !defined {flag}{blank}\n    puts(TEXT({_tokens(rng, 2, cxx)}));\n"
        f"  # /* dash */ else {blank}\n{_numbers(rng, number, cxx, optional)}#endif{blank}\n"
    )


def _tokens(rng: random.Random, count: int, cxx: bool, *, lines: bool = True) -> str:
    """Tokens that may be an argument of a macro: each parenthesis is closed. `lines`: with line ends among them."""
    made = []
    for _ in range(count):
        word = rng.choice(_WORDS)
        if word == "1'000" and not cxx:
            word = "1000"
        elif word.startswith("_ ") and not lines:
            word = "+"  # in a definition they are operators
        elif word in ("SAME", "TEXT", "FIRST") or rng.random() < 0.1:
            word = f"{word if word in ('SAME', 'TEXT', 'FIRST') else ''}({_tokens(rng, 2, cxx, lines=lines)})"
        elif word == "PASTE":
            word = f"PASTE({_blank(rng, lines=lines)}p, {_blank(rng, lines=lines)}{rng.choice('q1')})"
        elif word == "__COUNTER__0":
            word = "__COUNTER__0 __COUNTER__"
        made.append(_blank(rng, lines=lines) + word + _blank(rng, lines=lines) + " ")
    return "".join(made)


def _blank(rng: random.Random, *, lines: bool = True) -> str:
    blank = rng.choice(_BLANKS)
    ends_line = blank.replace("\\\n", "").count("\n")
    return blank if lines or not ends_line else " "
