"""Languages that compilers take, and the names that sources in them have.

The numbers are those of `Language` in the protocol, so that this module needs no protobuf; a test compares them.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum


class Language(IntEnum):
    """As in the protocol."""

    UNKNOWN_LANGUAGE = 0
    C = 1
    CXX = 2
    OBJECTIVE_C = 3
    OBJECTIVE_CXX = 4
    ASSEMBLER = 5


# By the ending of a source that is to be preprocessed.
SOURCE_ENDINGS: Mapping[str, Language] = {
    ".c": Language.C,
    **dict.fromkeys((".cc", ".cp", ".cxx", ".cpp", ".CPP", ".c++", ".C"), Language.CXX),
    ".m": Language.OBJECTIVE_C,
    **dict.fromkeys((".mm", ".M"), Language.OBJECTIVE_CXX),
}
# By the ending of a source that is preprocessed already. With -E a compiler writes nothing for such a file.
PREPROCESSED_ENDINGS: Mapping[str, Language] = {
    ".i": Language.C,
    ".ii": Language.CXX,
    ".mi": Language.OBJECTIVE_C,
    ".mii": Language.OBJECTIVE_CXX,
}
PREPROCESSED_ENDING_OF: Mapping[Language, str] = {language: ending for ending, language in PREPROCESSED_ENDINGS.items()}
# By any ending that a server knows.
ENDINGS: Mapping[str, Language] = {
    **SOURCE_ENDINGS,
    **PREPROCESSED_ENDINGS,
    **dict.fromkeys((".s", ".S", ".sx", ".asm"), Language.ASSEMBLER),
}
# By the value of -x, where the source is to be preprocessed.
SOURCE_OPTIONS: Mapping[str, Language] = {
    "c": Language.C,
    "c++": Language.CXX,
    "objective-c": Language.OBJECTIVE_C,
    "objective-c++": Language.OBJECTIVE_CXX,
}
X_NAME_OF: Mapping[Language, str] = {language: name for name, language in SOURCE_OPTIONS.items()}
# By any value of -x that a server knows. "none" goes back to the ending.
X_OPTIONS: Mapping[str, Language] = {
    **SOURCE_OPTIONS,
    "cpp-output": Language.C,
    "c++-cpp-output": Language.CXX,
    "objective-c-cpp-output": Language.OBJECTIVE_C,
    "objc-cpp-output": Language.OBJECTIVE_C,
    "objective-c++-cpp-output": Language.OBJECTIVE_CXX,
    "objc++-cpp-output": Language.OBJECTIVE_CXX,
    "assembler": Language.ASSEMBLER,
    "assembler-with-cpp": Language.ASSEMBLER,
    "none": Language.UNKNOWN_LANGUAGE,
}
SOURCE_OPTION_OF: Mapping[Language, str] = {language: option for option, language in SOURCE_OPTIONS.items()}
# The value of -x for a preprocessed source.
PREPROCESSED_OPTION_OF: Mapping[Language, str] = {
    Language.C: "cpp-output",
    Language.CXX: "c++-cpp-output",
    Language.OBJECTIVE_C: "objective-c-cpp-output",
    Language.OBJECTIVE_CXX: "objective-c++-cpp-output",
    Language.ASSEMBLER: "assembler",
}
