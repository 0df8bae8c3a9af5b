"""The tables behind `arguments`: what each compiler argument is. No code."""

from __future__ import annotations

import re

from distplusplus.protocol import distplusplus_pb2 as pb

LANGUAGES = {
    "c": pb.C,
    "cpp-output": pb.C,
    "c++": pb.CXX,
    "c++-cpp-output": pb.CXX,
    "objective-c": pb.OBJECTIVE_C,
    "objective-c-cpp-output": pb.OBJECTIVE_C,
    "objc-cpp-output": pb.OBJECTIVE_C,
    "objective-c++": pb.OBJECTIVE_CXX,
    "objective-c++-cpp-output": pb.OBJECTIVE_CXX,
    "objc++-cpp-output": pb.OBJECTIVE_CXX,
    "assembler": pb.ASSEMBLER,
    "assembler-with-cpp": pb.ASSEMBLER,
    "none": pb.UNKNOWN_LANGUAGE,
}

# Read by the preprocessor or the linker alone: no trace of them in the object. Those that take a value in
# the next argument, and those with the value attached.
DROPPED_WITH_VALUE = frozenset(
    [
        "-I",
        "-D",
        "-U",
        "-include",
        "-imacros",
        "-iquote",
        "-isystem",
        "-idirafter",
        "-iprefix",
        "-iwithprefix",
        "-iwithprefixbefore",
        "-isysroot",
        "-imultilib",
        "-imultiarch",
        "-iframework",
        "-F",
        "-cxx-isystem",
        "-iwithsysroot",
        "-isystem-after",
        "-A",
        "-MF",
        "-MT",
        "-MQ",
        "-MJ",
        "-Xpreprocessor",
        "-L",
        "-l",
        "-u",
        "-z",
        "-T",
        "-Xlinker",
        "-rpath",
        "-framework",
        "--sysroot",
        "--include",
        "--imacros",
        "--include-directory",
        "--define-macro",
        "--undefine-macro",
        "--include-directory-after",
        "--library-directory",
        "-gcc-toolchain",
    ]
)
DROPPED = re.compile(
    r"""-(?:
        [IDUALlF].+ | include(?!-pch).+ | imacros.+ | i(?:quote|system|dirafter|prefix|withprefix).+
        | i(?:withprefixbefore|sysroot|framework|withsysroot).+ | M[DFGPTQ].* | MMD | Wp,.* | Wl,.*
        | T.+ | u.+ | z.+
        | -(?:sysroot|include|imacros|include-directory|define-macro|undefine-macro)=.*
        | -(?:library-directory|gcc-toolchain)=.*
        | nostdinc(?:\+\+)? | undef | P | CC? | H | remap | trigraphs | d[DIMNU] | -?stdlib=[\w+]+
        | fpreprocessed | f(?:no-)?directives-only | f(?:no-)?working-directory | finput-charset=.*
        | fuse-ld=.* | v | -verbose
    )""",
    re.VERBOSE,
)

# Refused, with the reason that is told. In this order; each must match the whole argument.
ANY, CLANG = "", "clang"
REFUSED: tuple[tuple[str, re.Pattern[str], str], ...] = tuple(
    (kind, re.compile("|".join(patterns.split())), reason)
    for kind, patterns, reason in (
        (ANY, r"@.*", "reads arguments from a file of the worker"),
        (ANY, r"-f(plugin|pass-plugin)\b.* -fplugin-arg-.* -load -fuse-linker-plugin=.*", "loads a plugin"),
        (ANY, r"-wrapper -wrapper,.*", "runs another program"),
        (ANY, r"-B.* --prefix(=.*)?", "runs programs from another directory"),
        (ANY, r"-?-specs(=.*)? -no-canonical-prefixes=.*", "changes what the compiler runs"),
        (
            ANY,
            r"--config.* -ccc-.* -cc1.* -resource-dir.* -working-directory.* -ivfsoverlay.*",
            "reads files of the worker",
        ),
        (ANY, r"-Xclang(=.*)? -Xarch_.* -Xcuda.* -Xopenmp.* -mllvm", "is passed on without a check"),
        (ANY, r"-o.* --output(=.*)?", "names an output; the server names it"),
        (
            ANY,
            r"-dumpbase(=.*)? -dumpdir(=.*)? -dumpbase-ext(=.*)? -aux-info(=.*)? --?save-temps.* -d[a-zA-Z].*"
            r" -fdump-.* -fcompare-debug.* -fada-spec.* -fdeps-.* -fdebug-cpp -fself-test.* -time=.*"
            r" -fcrash-diagnostics.* -gen-reproducer.* -fdiagnostics-format=(sarif|json)-file"
            r" -fdiagnostics-(add|set)-output.*"
            r" -f(opt-info|save-optimization-record|time-trace)[\w-]*=.*[/.].*",
            "names or writes further files",
        ),
        (
            ANY,
            r"-f(no-)?(implicit-)?modules?\b.* -fmodule.* -fprebuilt.* -fpch.* -include-pch -emit-.*"
            r" -fcxx-modules -fbuild-session.* -fimplicit-.*module.*",
            "reads modules or precompiled headers",
        ),
        (
            ANY,
            r"-fauto-profile(=.*)?"
            r" -fprofile-(sample-use|list|remapping-file|note|filter-files|exclude-files)(=.*)?"
            r" -fprofile-prefix-.* -fcs-profile.* -fthinlto-index.* -fsanitize-[\w-]*list=.* -fxray-.*"
            r" -fproc-stat-report.* -fopenmp-host-.* -fwpa.* -fltrans.* -fresolution.* -foffload-host.*"
            r" -frandomize-layout-seed-file.*",
            "reads or writes a file besides the source",
        ),
        (ANY, r"-fprofile-dir(=.*)?", "moves the profile to a directory that only the client has"),
        (ANY, r"-fprofile-abs-path", "names the worker's directories"),
        (ANY, r"-m(arch|cpu|tune)=native", "would mean the CPU of the worker"),
        (ANY, r"-foffload.* -fopenmp-targets.* --?cuda.* --offload.* -arch", "compiles for a second target"),
        (CLANG, r"-[gf]record-(gcc-switches|command-line)", "records the worker's command line"),
        (ANY, r"-fembed-bitcode.*", "records the worker's command line"),
        (
            ANY,
            r"-E -M -MM -fsyntax-only -### --version --help.* -dump(machine|version|fullversion|specs)"
            r" --?print-.* --analyze.* -r --precompile -V --preprocess --(user-)?dependencies -extract-api",
            "is not a compile of one source to one object",
        ),
    )
)

# Kept. In none of these shapes can a value be a path: no slash, and what takes a bare file name was refused
# above.
_SAFE_VALUE = r"[\w.,:+@=%*\[\]!-]*"
KEPT = re.compile(
    rf"""
    -O(?:[0-3sgz]|fast|\d+)?
    | -g[\w.=-]*
    | -f[\w+-]+(?:={_SAFE_VALUE})?
    | -m[\w.+-]+(?:={_SAFE_VALUE})?
    | -W(?![apl],)[\w+-]*(?:={_SAFE_VALUE})?
    | -R[\w-]+(?:={_SAFE_VALUE})?
    | -std=[\w+:.-]+ | --std=[\w+:.-]+ | -ansi | -pedantic(?:-errors)? | --pedantic(?:-errors)? | -w
    | -pipe | -pthread | -p | -pg | -Q[ny] | -Qunused-arguments | -time | -no-canonical-prefixes
    | --param=[\w.=-]+ | --target=[\w.+-]+ | -EB | -EL
    | -frandom-seed=[^\n]+
    | -s | -shared | -static | -static-pie | -pie | -no-pie | -nopie | -rdynamic | -symbolic | -n
    | -nostdlib | -nostdlib\+\+ | -nolibc | -nodefaultlibs | -nostartfiles | -static-lib\w+ | -shared-libgcc
    | -traditional(?:-cpp)? | -no-integrated-cpp | -integrated-as | -no-integrated-as
    """,
    re.VERBOSE,
)
KEPT_WITH_VALUE = {"--param": re.compile(r"[\w-]+=[\w-]+"), "-target": re.compile(r"[\w.+-]+")}
PREFIX_MAP = re.compile(r"-f(debug|file|macro|coverage)-prefix-map=([^=]*)=(.*)", re.DOTALL)
CLANG_DIRECTORY = re.compile(r"-f(debug|coverage|file)-compilation-dir=.*", re.DOTALL)
CALLGRAPH = re.compile(r"-fcallgraph-info(=(su|da)(,(su|da))?)?")
ASSEMBLER_OPTION = re.compile(
    r"--(no)?execstack|--fatal-warnings|--no-warn|--warn|-W|-m[\w=.+-]+|--gdwarf-sections"
    r"|--(no)?compress-debug-sections(=[\w-]+)?|--elf-stt-common=\w+|--generate-missing-build-notes=\w+|-L|--keep-locals"
    r"|--(32|64|x32)|-n|--divide|-O[0-2]|--strip-local-absolute|--reduce-memory-overheads|--noexecstack|-march=[\w+.,-]+"
)

# What an ending says, of a source that is preprocessed.
ENDINGS = {
    ".c": pb.C, ".i": pb.C,
    ".cc": pb.CXX, ".cp": pb.CXX, ".cxx": pb.CXX, ".cpp": pb.CXX, ".CPP": pb.CXX, ".c++": pb.CXX,
    ".C": pb.CXX, ".ii": pb.CXX,
    ".m": pb.OBJECTIVE_C, ".mi": pb.OBJECTIVE_C,
    ".mm": pb.OBJECTIVE_CXX, ".M": pb.OBJECTIVE_CXX, ".mii": pb.OBJECTIVE_CXX,
    ".s": pb.ASSEMBLER, ".S": pb.ASSEMBLER, ".sx": pb.ASSEMBLER, ".asm": pb.ASSEMBLER,
}  # fmt: skip
