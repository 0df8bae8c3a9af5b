"""The tables behind `arguments`: what each argument means for a compile that is to be done elsewhere. No code."""

from __future__ import annotations

import re
from collections.abc import Mapping

from distplusplus.protocol import distplusplus_pb2 as pb

COMPILER = re.compile(r"(?:.+-)?(?P<name>gcc|g\+\+|cc|c\+\+|clang|clang\+\+)(?:-[\d.]+)?")

# The value is the next argument (gcc 12 `--help=separate`, clang 14's Options.td), so it is no input.
WITH_VALUE = frozenset(
    """
    -o -x -I -D -U -A -B -L -l -u -z -T -e -F -MF -MT -MQ -MJ -include -imacros -include-pch -iquote -isystem
    -idirafter -iprefix -iwithprefix -iwithprefixbefore -isysroot -imultilib -imultiarch -iframework -cxx-isystem
    -isystem-after -iwithsysroot -Xpreprocessor -Xassembler -Xlinker -Xclang -Xanalyzer -Xarch_host -Xarch_device
    -mllvm -target -arch -aux-info -dumpbase -dumpbase-ext -dumpdir -wrapper -specs -framework -rpath -param
    --param --sysroot --include --imacros --include-directory --define-macro --undefine-macro --output --language
    --prefix --library-directory -G
    """.split()  # noqa: SIM905  (a table of 60 words)
)
# Read by the preprocessor or the linker alone; what is preprocessed at home needs none of them on a server.
HOME_WITH_VALUE = frozenset(
    """
    -I -D -U -A -L -l -u -z -T -e -F -MF -MT -MQ -include -imacros -iquote -isystem -idirafter -iprefix
    -iwithprefix -iwithprefixbefore -isysroot -imultilib -imultiarch -iframework -cxx-isystem -isystem-after
    -iwithsysroot -Xpreprocessor -Xlinker -framework -rpath --sysroot --include --imacros --include-directory
    --define-macro --undefine-macro --library-directory
    """.split()  # noqa: SIM905  (a table of 60 words)
)
HOME = re.compile(
    r"-[IDULl].+|-A[^-].*|-M(?:D|MD|G|P|[FTQ].+)|-W[lp],.*|-i(?:quote|system|dirafter|prefix|withprefix|sysroot).+"
    r"|-imacros.+|-include(?!-pch).+|-nostdinc(?:\+\+)?|-undef|-P|-CC?|--sysroot=.*|--(?:include|imacros)=.*",
    re.DOTALL,
)
LANGUAGE_OF_ENDING: Mapping[str, pb.Language] = {
    ".c": pb.C,
    **dict.fromkeys((".cc", ".cp", ".cxx", ".cpp", ".CPP", ".c++", ".C"), pb.CXX),
    ".m": pb.OBJECTIVE_C,
    **dict.fromkeys((".mm", ".M"), pb.OBJECTIVE_CXX),
}
LANGUAGE_OF_OPTION: Mapping[str, pb.Language] = {
    "c": pb.C,
    "c++": pb.CXX,
    "objective-c": pb.OBJECTIVE_C,
    "objective-c++": pb.OBJECTIVE_CXX,
}
# What is preprocessed already: there is nothing left to do with -E, which writes nothing then.
PREPROCESSED_ENDINGS = frozenset({".i", ".ii", ".mi", ".mii"})
# What a server would take, but which needs this machine.
AT_HOME: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"-E|--preprocess"), "only preprocesses"),
    (re.compile(r"-M|-MM|--dependencies|--user-dependencies"), "only lists dependencies"),
    (re.compile(r"-fsyntax-only|-###|-MJ.*"), "is not a compile to one object"),
    (re.compile(r"-fprofile-(use|instr-use).*|-fbranch-probabilities"), "reads a profile of this machine"),
    (re.compile(r"-v|--verbose|-time|-ftime-(report|trace).*|-f(pre-ipa-|post-ipa-)?mem-report.*|-fstats|-H|-Q"
                r"|-R.*|-fopt-info.*|-fsave-optimization-record.*"),
     "is asked to tell about the compiler's run"),
    (re.compile(r"-f(no-)?working-directory|-fpreprocessed|-traditional(-cpp)?|-no-integrated-cpp|-save-temps.*"
                r"|-f(no-)?directives-only|-P|-CC?|-d[DIMNU]+|-fminimize-whitespace|-frewrite-\w+|-fuse-line-directives"),
     "changes how preprocessing and compiling go together"),
    (re.compile(r"-fverbose-asm|-fcoverage-mapping|-gembed-source"
                r"|-fdiagnostics-(parseable-fixits|generate-patch|print-source-range-info|absolute-paths|format=.*)"),
     "shows the source as it is before preprocessing"),
)  # fmt: skip
# GCC's compiler reads all that -Wp and -Xpreprocessor pass on. These it reads for the preprocessor alone.
PASSED_WITH_VALUE = frozenset("-MD -MMD -I -D -U -include -imacros -iquote -isystem -idirafter".split())  # noqa: SIM905
PASSED = re.compile(r"-[IDU].+|-i(?:nclude|macros|quote|system|dirafter).+|-MP|-undef|-nostdinc", re.DOTALL)
# Clang heeds it for __builtin_FILE only while it preprocesses.
NAMES_MAPPED = re.compile(r"-f(?:macro|file)-prefix-map=.*", re.DOTALL)
# What says how messages are shown; `auto` says nothing.
SHOWN = re.compile(
    r"-f(?:no-)?(?:diagnostics-color|color-diagnostics)(?:=(?!auto$).*)?|-f(message-length|diagnostics-urls)=(?!auto$).*"
    r"|-fdiagnostics-plain-output"
)
# Warnings that a compiler gives or not by what a macro hides, which preprocessed text does not tell:
# -Wparentheses-equality of clang, for one, on every `if ((a == b))` that a macro made.
CHANGED_BY_PREPROCESSING = re.compile(
    r"\[-W(?:error[=,])*,?(?:-W)?(?:parentheses-equality|tautological[\w-]*|self-assign[\w-]*|implicit-fallthrough=?"
    r"|misleading-indentation|duplicated-branches|logical-op|extra-semi[\w-]*|constant-logical-operand"
    r"|unreachable-code[\w-]*|null-conversion|unused-value|empty-body|compare-distinct-pointer-types|address"
    r"|unevaluated-expression|pointer-bool-conversion|old-style-cast|zero-as-null-pointer-constant"
    r"|analyzer-[\w-]+)\b"
)
# The environment of GCC and clang that changes more than preprocessing (gcc(1), ENVIRONMENT; clang's Driver.cpp).
ENVIRONMENT_AT_HOME = (
    "COMPILER_PATH", "GCC_EXEC_PREFIX", "DEPENDENCIES_OUTPUT", "SUNPRO_DEPENDENCIES", "GCC_COMPARE_DEBUG",
    "GCC_EXTRA_DIAGNOSTIC_OUTPUT", "CCC_OVERRIDE_OPTIONS", "CC_PRINT_OPTIONS", "CC_PRINT_HEADERS",
    "CC_LOG_DIAGNOSTICS", "CC_PRINT_PROC_STAT",
)  # fmt: skip
