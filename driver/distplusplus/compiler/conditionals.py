"""Which lines of a source the preprocessor passes over for certain, because of macros that are never defined. Pure.

`#ifdef _MSC_VER` is enough to know that what follows is of no use to GCC. What cannot be told is left open.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

# Each set: if none of these macros is ever defined, it is so.
Alternatives = tuple[frozenset[bytes], ...]

_MAX_ALTERNATIVES = 16
_COMMENT_OR_LITERAL = re.compile(
    rb"//(?:\\\n|[^\n])*|/\*[\s\S]*?\*/" rb'|"(?:\\[\s\S]|[^"\\\n])*"' rb"|'(?:\\[\s\S]|[^'\\\n])*'"
)
# What makes it hard to tell a directive: raw strings, digraphs, trigraphs.
_HARD = re.compile(rb'R"|%:|\?\?')
_DIRECTIVE = re.compile(rb"[ \t]*#[ \t]*(\w+)(.*)", re.DOTALL)
_TOKEN = re.compile(rb"[A-Za-z_]\w*|\d\w*|&&|\|\||[=!<>]=|\S")
_NAME, _NUMBER = re.compile(rb"[A-Za-z_]\w*"), re.compile(rb"(\d+)[uUlL]*")
# Macros that no #define tells of, and words that are operators or constants to C++.
_NO_MACRO = re.compile(
    rb"__has_\w+|__(?:COUNTER|LINE|FILE|DATE|TIME|TIMESTAMP|BASE_FILE|INCLUDE_LEVEL)__|true|false|and|or|not|xor|compl"
    rb"|bitand|bitor|not_eq|and_eq|or_eq|xor_eq|defined"
)


@dataclass(frozen=True)
class _Condition:
    """What makes an expression false, and what makes it true."""

    false: Alternatives = ()
    true: Alternatives = ()


_OPEN = _Condition()


def passed_over(source: bytes) -> dict[int, Alternatives]:
    """For each `#pragma` of the source, by its line from 1: what makes the preprocessor pass over it.

    Empty where a source is too hard to read.
    """
    if _HARD.search(source):
        return {}
    groups: list[list[_Condition]] = []
    found: dict[int, Alternatives] = {}
    for number, line in _logical_lines(source):
        directive = _DIRECTIVE.match(line)
        if directive is None:
            continue
        name, rest = directive.groups()
        if name in (b"if", b"ifdef", b"ifndef"):
            groups.append([_condition(name, rest)])
        elif name in (b"elif", b"elifdef", b"elifndef", b"else", b"endif"):
            if not groups:
                return {}
            if name == b"endif":
                groups.pop()
            else:
                groups[-1].append(_OPEN if name == b"else" else _condition(name.removeprefix(b"el"), rest))
        elif name == b"pragma":
            found[number] = _limited(alternative for group in groups for alternative in _not_taken(group))
    return {} if groups else found


def _logical_lines(source: bytes) -> Iterator[tuple[int, bytes]]:
    """Lines without comments, those that a backslash continues put together; with the number of the first one."""
    blank = _COMMENT_OR_LITERAL.sub(lambda match: b" " + b"\n" * match[0].count(b"\n"), source)
    number, start, joined = 1, 1, b""
    for line in blank.split(b"\n"):
        line = line.rstrip(b"\r")  # noqa: PLW2901
        joined += line.removesuffix(b"\\")
        if not line.endswith(b"\\"):
            yield start, joined
            start, joined = number + 1, b""
        number += 1


def _not_taken(group: list[_Condition]) -> Iterator[frozenset[bytes]]:
    """What makes the last branch of a group not be taken."""
    yield from group[-1].false
    for before in group[:-1]:
        yield from before.true


def _condition(name: bytes, rest: bytes) -> _Condition:
    if name in (b"ifdef", b"ifndef"):
        macro = _NAME.search(rest)
        condition = _undefined(macro[0]) if macro else _OPEN
        return condition if name == b"ifdef" else _not(condition)
    tokens = [match[0] for match in _TOKEN.finditer(rest)]
    tokens.append(b"")
    condition = _either(tokens)
    return condition if tokens == [b""] else _OPEN


def _undefined(macro: bytes) -> _Condition:
    return _OPEN if _NO_MACRO.fullmatch(macro) else _Condition(false=(frozenset({macro}),))


def _not(condition: _Condition) -> _Condition:
    return _Condition(condition.true, condition.false)


def _either(tokens: list[bytes]) -> _Condition:
    """Takes `A || B ...` off the tokens."""
    condition = _both(tokens)
    while tokens[0] == b"||":
        del tokens[0]
        other = _both(tokens)
        false = _limited(one | two for one, two in product(condition.false, other.false))
        condition = _Condition(false, _limited(condition.true + other.true))
    return condition


def _both(tokens: list[bytes]) -> _Condition:
    """Takes `A && B ...` off the tokens."""
    condition = _operand(tokens)
    while tokens[0] == b"&&":
        del tokens[0]
        other = _operand(tokens)
        true = _limited(one | two for one, two in product(condition.true, other.true))
        condition = _Condition(_limited(condition.false + other.false), true)
    return condition


def _operand(tokens: list[bytes]) -> _Condition:
    """Takes all up to the next `&&`, `||` or `)` off the tokens."""
    negated = False
    while tokens[0] == b"!":
        del tokens[0]
        negated = not negated
    if tokens[0] == b"(":
        del tokens[0]
        condition = _either(tokens)
        if tokens[0] != b")":
            tokens[:] = [b"", b""]  # not to be understood
            return _OPEN
        del tokens[0]
        rest = _simple(tokens)
        condition = condition if not rest else _OPEN
    else:
        condition = _evaluated(_simple(tokens), negated)
    return _not(condition) if negated else condition


def _simple(tokens: list[bytes]) -> list[bytes]:
    """Takes the tokens of an operand, with what is in parentheses in it."""
    taken: list[bytes] = []
    depth = 0
    while tokens[0] and (depth or tokens[0] not in (b"&&", b"||", b")")):
        depth += {b"(": 1, b")": -1}.get(tokens[0], 0)
        taken.append(tokens.pop(0))
    return taken


def _evaluated(tokens: list[bytes], negated: bool) -> _Condition:
    """`defined X`, `X`, or X compared with a number. A macro that is not defined counts as 0."""
    match tokens:
        case [b"defined", macro] | [b"defined", b"(", macro, b")"]:
            return _undefined(macro)
        case [name] if _NAME.fullmatch(name):
            return _undefined(name)
        case [number] if literal := _NUMBER.fullmatch(number):
            return _constant(int(literal[1]) != 0) if not number.startswith(b"0") or number == b"0" else _OPEN
        # A `!` before it belongs to the name alone.
        case [name, sign, number] if not negated and _NAME.fullmatch(name) and not number.startswith(b"0x"):
            literal = _NUMBER.fullmatch(number)
            if literal is None or _NO_MACRO.fullmatch(name) or (number[:1] == b"0" and number != b"0"):
                return _OPEN
            value = int(literal[1])
            holds = {
                b"==": value == 0,
                b"!=": value != 0,
                b"<": value > 0,
                b"<=": True,
                b">": False,
                b">=": value == 0,
            }.get(sign)
            if holds is None:
                return _OPEN
            macro_alone = (frozenset({name}),)
            return _Condition(true=macro_alone) if holds else _Condition(false=macro_alone)
    return _OPEN


def _constant(value: bool) -> _Condition:
    always = (frozenset[bytes](),)
    return _Condition(true=always) if value else _Condition(false=always)


def _limited(alternatives: Iterator[frozenset[bytes]] | Alternatives) -> Alternatives:
    return tuple(dict.fromkeys(alternatives))[:_MAX_ALTERNATIVES]
