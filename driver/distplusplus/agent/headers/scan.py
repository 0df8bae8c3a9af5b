"""What one source or header may include, read from its bytes. Pure.

Conditions are not evaluated: a scan may find too much, never too little. Directives in comments and in strings are
taken for real ones, which costs a look-up.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum


class Form(Enum):
    """How an operand names its file."""

    QUOTE = '"'
    ANGLE = "<"


@dataclass(frozen=True, slots=True)
class Operand:
    """A file that a directive or `__has_include` names. `is_next`: the search goes on behind the directory it is in."""

    form: Form
    name: bytes
    is_next: bool = False


@dataclass(frozen=True, slots=True)
class Scan:
    """What one file may include, in its order, each operand once.

    `computed`: it includes what a macro names. `literals` are the names in its definitions and conditions, `arguments`
    those of them that are all of a macro's argument, and with `pieced` one of those holds a parameter.
    `asked`: the macros in `__has_include(MACRO)`. `wrappers`: its macros that hand a parameter to `__has_include`.
    `is_once`: it holds `#pragma once`, for which GCC compares times and contents of files. `imports`: it demands the
    same of files that it includes.
    `doubts`: why an object made from this file elsewhere might differ, in words for the user; empty if it cannot.
    """

    operands: tuple[Operand, ...]
    computed: bool
    literals: tuple[Operand, ...]
    arguments: tuple[Operand, ...]
    pieced: bool
    asked: tuple[bytes, ...]
    wrappers: tuple[bytes, ...]
    is_once: bool
    imports: bool
    doubts: tuple[str, ...]


# White space and comments between the parts of a directive.
_GAP = rb"(?:[ \t\f\v]|/\*(?:[^*]|\*(?!/))*+\*/)*+"
_HASH = rb"(?:#|%:|\?\?=)"
_WORD = rb"[A-Za-z_$\x80-\xff][\w$\x80-\xff]*+"
_NAMED = rb'(?:"(?P<quote>[^"\n]+)"|<(?P<angle>[^>\n]+)>|(?P<macro>' + _WORD + rb"))"
# A name in quotes or angle brackets may stand behind anything: what is only text costs a look-up.
_INCLUDE = re.compile(_HASH + _GAP + rb"(?P<verb>include_next|include|import)" + _GAP + _NAMED)
# A macro's name may be a word of a comment, so it counts only where a directive can begin.
_BEGINS_DIRECTIVE = re.compile(rb"(?:^|\*/)" + _GAP + rb"\Z", re.MULTILINE)
_HAS_INCLUDE = re.compile(rb"__has_(?P<verb>include_next|include)(?:__)?" + _GAP + rb"\(" + _GAP + _NAMED)
_DEFINE = _HASH + _GAP + rb"define" + _GAP
_PARAMETERS = re.compile(_DEFINE + rb"(?P<name>" + _WORD + rb")\((?P<parameters>[^)\n]*)\)")
_DEFINITION = re.compile(_DEFINE + rb"(?P<name>" + _WORD + rb")(?P<value>[^\n]*+)")
_LITERAL = re.compile(rb'(?P<before>\w\s*\(\s*)?(?:"(?P<quote>[\w./+-]+)"|<(?P<angle>[\w./+-]+)>)')
_DIRECTIVE_LINE = re.compile(rb"^" + _GAP + _HASH + _GAP + rb"(?:define|if|elif)\b(?P<rest>[^\n]*+)", re.MULTILINE)
_ONCE = re.compile(_HASH + _GAP + rb"pragma" + _GAP + rb"once\b|_Pragma" + _GAP + rb"\(" + _GAP + rb'"\s*once')
_IMPORT = re.compile(_HASH + _GAP + rb"import\b")
_DOUBTS = (
    (re.compile(rb"\b__(?:DATE|TIME|TIMESTAMP)__\b"), "uses the time of the compile or of a file"),
    (re.compile(rb"\b__BASE_FILE__\b"), "uses __BASE_FILE__"),
    (re.compile(rb"\.incbin\b"), "includes a file by .incbin"),
    (re.compile(_HASH + _GAP + rb"embed\b|\b__has_embed\b"), "may embed a file"),
    (re.compile(rb"\bpch_preprocess\b"), "names a precompiled header"),
    (re.compile(rb"\bGCC\s+dependency\b"), "compares the times of files"),
)
_DOUBT_WORDS = re.compile(rb"__DATE__|__TIME__|__TIMESTAMP__|__BASE_FILE__|incbin|embed|pch_preprocess|dependency")
# GCC takes white space between the backslash and the end of the line, with a warning.
_CONTINUED = re.compile(rb"(?:\\|\?\?/)[ \t\f\v]*+\r?\n")


def scan(data: bytes) -> Scan:
    """What the file with these bytes may include."""
    text = _joined_lines(data)
    operands: dict[Operand, None] = {}
    computed = False
    if b"include" in text or b"import" in text:
        for found in _INCLUDE.finditer(text):
            if found["macro"] is None:
                operands.setdefault(_operand(found))
            elif _BEGINS_DIRECTIVE.search(text, _line_start(text, found.start()), found.start()):
                computed = True
    asked: dict[bytes, None] = {}
    wrappers: dict[bytes, None] = {}
    if b"__has_include" in text:
        for found in _HAS_INCLUDE.finditer(text):
            if found["macro"] is None:
                operands.setdefault(_operand(found))
                definition = _PARAMETERS.search(text, _line_start(text, found.start()), found.start())
                if _holds_parameter(found["quote"] or found["angle"], definition):
                    asked.setdefault(b"")  # no definition can answer for it
            else:
                _take_asked(text, found, asked, wrappers)
    literals, arguments, pieced = _literals(text)
    return Scan(
        tuple(operands),
        computed,
        literals,
        arguments,
        pieced,
        tuple(asked),
        tuple(wrappers),
        is_once=b"once" in text and _ONCE.search(text) is not None,
        imports=b"import" in text and _IMPORT.search(text) is not None,
        doubts=tuple(why for pattern, why in _DOUBTS if pattern.search(text)) if _DOUBT_WORDS.search(text) else (),
    )


def definitions(data: bytes, name: bytes) -> list[Operand] | None:
    """The files that the macro `name` may name by its definitions in this file.

    None if one of them is anything but one name in quotes or angle brackets.
    """
    if not name:
        return None
    if name not in data:
        return []
    values: dict[Operand, None] = {}
    for found in _DEFINITION.finditer(_joined_lines(data)):
        if found["name"] == name:
            value = _LITERAL.fullmatch(found["value"].strip())
            if value is None:
                return None
            values.setdefault(_operand(value))
    return list(values)


def is_called_with_a_macro(data: bytes, wrapper: bytes) -> bool:
    """Whether the function-like macro `wrapper` may get another macro's value, by this file's text."""
    if wrapper not in data:
        return False
    call = re.compile(rb"\b" + re.escape(wrapper) + rb"\s*\(\s*" + _WORD)
    text = _joined_lines(data)
    return any(not _is_defined_at(text, found.start(), wrapper) for found in call.finditer(text))


def _take_asked(text: bytes, found: re.Match[bytes], asked: dict[bytes, None], wrappers: dict[bytes, None]) -> None:
    definition = _PARAMETERS.search(text, _line_start(text, found.start()))
    if definition is not None and definition.start() < found.start():
        if found.start() == definition.start("name"):
            return  # it defines __has_include itself, for compilers that lack it
        if found["macro"] in [word.strip() for word in definition["parameters"].split(b",")]:
            wrappers.setdefault(definition["name"])
            return
    asked.setdefault(found["macro"])


def _literals(text: bytes) -> tuple[tuple[Operand, ...], tuple[Operand, ...], bool]:
    """`literals`, `arguments` and `pieced` of a Scan."""
    literals: dict[Operand, None] = {}
    arguments: dict[Operand, None] = {}
    pieced = False
    for line in _DIRECTIVE_LINE.finditer(text):
        definition = _PARAMETERS.search(text, line.start(), line.end())
        for found in _LITERAL.finditer(line["rest"]):
            name = found["quote"] or found["angle"]
            if name.startswith(b"/"):
                continue
            literals.setdefault(_operand(found))
            if found["before"]:
                arguments.setdefault(_operand(found))
                pieced = pieced or _holds_parameter(name, definition)
    return tuple(literals), tuple(arguments), pieced


def _holds_parameter(name: bytes, definition: re.Match[bytes] | None) -> bool:
    if definition is None:
        return False
    return not _words(definition["parameters"]).isdisjoint(_words(name))


def _words(text: bytes) -> set[bytes]:
    return set(re.findall(_WORD, text))


def _is_defined_at(text: bytes, position: int, name: bytes) -> bool:
    definition = _DEFINITION.search(text, _line_start(text, position))
    return definition is not None and definition["name"] == name and definition.start("name") == position


def _joined_lines(data: bytes) -> bytes:
    """The text after translation phase 2: lines that end in a backslash are joined with the next."""
    return _CONTINUED.sub(b"", data) if b"\\" in data or b"??/" in data else data


def _line_start(text: bytes, position: int) -> int:
    return text.rfind(b"\n", 0, position) + 1


def _operand(found: re.Match[bytes]) -> Operand:
    is_next = "verb" in found.re.groupindex and found["verb"] == b"include_next"
    if found["quote"] is not None:
        return Operand(Form.QUOTE, found["quote"], is_next)
    return Operand(Form.ANGLE, found["angle"], is_next)
