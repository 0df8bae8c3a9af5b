"""The one table of compiler options: their shapes, who reads them, what their value is, what a server may do with them.

The client (`classify`) and the server (`allowed`) both ask it. GCC's options are from gcc 12's `--help`, clang's from
clang 14's Options.td; tests/integration/agent/test_options.py compares the table with the compilers.
"""

from __future__ import annotations

from enum import Enum, Flag, auto
from typing import NamedTuple


class Shape(Flag):
    """How an option is written."""

    ALONE = auto()
    # `-DX`; the name is all that comes before the value, as in `-std=`.
    JOINED = auto()
    # `-D X`
    SEPARATE = auto()
    # `--include=x`
    EQUALS = auto()


class Reader(Enum):
    """The program whose work an option changes."""

    PREPROCESSOR = auto()
    COMPILER = auto()
    ASSEMBLER = auto()
    LINKER = auto()
    # The driver itself: it runs the others.
    DRIVER = auto()


class Value(Enum):
    """What the value of an option is."""

    NONE = auto()
    TEXT = auto()
    FILE_READ = auto()
    FILE_WRITTEN = auto()
    DIRECTORY = auto()
    # OLD=NEW: how names begin, and what is put in that place.
    PREFIX_MAP = auto()
    # Options for the preprocessor, the assembler ...
    OPTIONS = auto()


class Server(Enum):
    """What a server does with an option."""

    # The compiler gets it.
    ALLOWED = auto()
    # It means nothing to the compile of a preprocessed source.
    DROPPED = auto()
    # The job is refused. The client knows that before, and compiles locally.
    REFUSED = auto()


class Extra(Enum):
    """A further file that a compile writes, and the ending of its name."""

    DWO = ".dwo"
    GCNO = ".gcno"
    STACK_USAGE = ".su"
    CALLGRAPH = ".ci"
    OPTIMIZATION_RECORD = ".opt"
    TIME_TRACE = ".json"


class Option(NamedTuple):
    """One option.

    why: why a server refuses it, or a value that does not match `form`
    local: why the client compiles locally, though a server would take the option
    form: a regular expression for the value; None if a server does not pass it on
    clang: True or False if only clang, or only GCC, has the row
    extra: the further file that it asks for
    in_full: its source must be preprocessed in full, because with -fdirectives-only something would be lost
    """

    name: str
    shape: Shape
    reader: Reader
    value: Value
    server: Server
    why: str = "is not known here to be safe"
    local: str = ""
    form: str | None = None
    clang: bool | None = None
    extra: Extra | None = None
    in_full: bool = False


ALONE, JOINED, SEPARATE, EQUALS = Shape.ALONE, Shape.JOINED, Shape.SEPARATE, Shape.EQUALS
_BOTH = JOINED | SEPARATE
_LONG = SEPARATE | EQUALS
_CPP, _CC, _AS = Reader.PREPROCESSOR, Reader.COMPILER, Reader.ASSEMBLER
_LD, _DRIVER = Reader.LINKER, Reader.DRIVER
_NONE, _TEXT, _READ, _WRITTEN = Value.NONE, Value.TEXT, Value.FILE_READ, Value.FILE_WRITTEN
_DIR, _MAP, _OPTIONS = Value.DIRECTORY, Value.PREFIX_MAP, Value.OPTIONS
_OK, _DROP, _NO = Server.ALLOWED, Server.DROPPED, Server.REFUSED

# No value of these forms can be a path: there is no slash in it, and options that take a bare file name have rows of
# their own.
_SAFE = r"[\w.,:+=%*\[\]!-]*"
_TAIL = rf"[\w+-]*(?:={_SAFE})?"
# GCC and clang give the value to the assembler as an argument of its own, which reads `@FILE` as a response file.
_MAP_FORM = r"(?!@)[^=]*=[\s\S]*"

_BESIDE = "reads or writes a file besides the source"
_CPU = "would mean the CPU of the worker"
_CLANGS = "is an argument of clang"
_CWD_PROFILE = "moves the profile to a directory that only the client has"
_FURTHER = "names or writes further files"
_MODULES = "reads modules or precompiled headers"
_NOT_ONE = "is not a compile of one source to one object"
_PASSED_ON = "is passed on without a check"
_PLUGIN = "loads a plugin"
_PROFILE = "names a profile of the client; -fprofile-use alone is taken"
_PROGRAMS = "runs programs from another directory"
_RECORDS = "records the worker's command line"
_RUNS = "changes what the compiler runs"
_TWO_TARGETS = "compiles for a second target"
_WORKER_FILES = "reads files of the worker"

_OTHER_ASSEMBLER = "runs an assembler that does not count in the compiler's digest"
_LISTS = "only lists dependencies"
_NO_OBJECT = "is not a compile to one object"
_READS_PROFILE = "reads a profile of this machine"
_SHOWS_SOURCE = "shows the source as it is before preprocessing"
_TELLS = "is asked to tell about the compiler's run"
_TOGETHER = "changes how preprocessing and compiling go together"

# By name. What is not here has the row of the longest name that it begins with.
TABLE: tuple[Option, ...] = (
    Option("-###", ALONE, _DRIVER, _NONE, _NO, _NOT_ONE, local=_NO_OBJECT),
    Option("--analyze", ALONE | JOINED, _DRIVER, _TEXT, _NO, _NOT_ONE),
    Option("--assemble", ALONE, _DRIVER, _NONE, _OK),
    Option("--assert", _LONG, _CPP, _TEXT, _DROP),
    Option("--comments", ALONE, _CPP, _NONE, _DROP, local=_TOGETHER),
    Option("--comments-in-macros", ALONE, _CPP, _NONE, _DROP, local=_TOGETHER),
    Option("--compile", ALONE, _DRIVER, _NONE, _OK),
    Option("--config", _BOTH, _DRIVER, _READ, _NO, _WORKER_FILES),
    Option("--coverage", ALONE, _CC, _NONE, _OK, extra=Extra.GCNO),
    Option("--cuda", JOINED, _DRIVER, _TEXT, _NO, _TWO_TARGETS),
    Option("--define-macro", _LONG, _CPP, _TEXT, _DROP),
    Option("--dependencies", ALONE, _CPP, _NONE, _NO, _NOT_ONE, local=_LISTS),
    Option("--dump", _LONG, _CC, _TEXT, _NO, _FURTHER),
    Option("--dumpbase", _LONG, _CC, _WRITTEN, _NO, _FURTHER),
    Option("--dumpbase-ext", _LONG, _CC, _TEXT, _NO, _FURTHER),
    Option("--dumpdir", _LONG, _CC, _DIR, _NO, _FURTHER),
    Option("--entry", _LONG, _LD, _TEXT, _DROP),
    Option("--for-assembler", _LONG, _AS, _OPTIONS, _NO),
    Option("--for-linker", _LONG, _LD, _OPTIONS, _DROP),
    Option("--force-link", _LONG, _LD, _TEXT, _DROP),
    Option("--gcc-toolchain=", JOINED, _DRIVER, _DIR, _DROP),
    Option("--help", ALONE | JOINED, _DRIVER, _TEXT, _NO, _NOT_ONE),
    Option("--imacros", _LONG, _CPP, _READ, _DROP, in_full=True),
    Option("--include", _LONG, _CPP, _READ, _DROP),
    Option("--include-directory", _LONG, _CPP, _DIR, _DROP),
    Option("--include-directory-after", _LONG, _CPP, _DIR, _DROP),
    Option("--include-prefix", _LONG, _CPP, _DIR, _DROP),
    Option("--include-with-prefix", _LONG, _CPP, _DIR, _DROP),
    Option("--include-with-prefix-after", _LONG, _CPP, _DIR, _DROP),
    Option("--include-with-prefix-before", _LONG, _CPP, _DIR, _DROP),
    Option("--language", _LONG, _DRIVER, _TEXT, _OK),
    Option("--library", _LONG, _LD, _TEXT, _DROP),
    Option("--library-directory", _LONG, _LD, _DIR, _DROP),
    Option("--no-line-commands", ALONE, _CPP, _NONE, _DROP, local=_TOGETHER),
    Option("--no-standard-includes", ALONE, _CPP, _NONE, _DROP),
    Option("--offload", JOINED, _DRIVER, _TEXT, _NO, _TWO_TARGETS),
    Option("--output", _LONG, _DRIVER, _WRITTEN, _NO, "names an output; the server names it"),
    Option("--param", _LONG, _CC, _TEXT, _OK, form=r"[\w.=-]+"),
    Option("--pedantic", ALONE, _CC, _NONE, _OK),
    Option("--pedantic-errors", ALONE, _CC, _NONE, _OK),
    Option("--precompile", ALONE, _DRIVER, _NONE, _NO, _NOT_ONE),
    Option("--prefix", _LONG, _DRIVER, _DIR, _NO, _PROGRAMS),
    Option("--preprocess", ALONE, _DRIVER, _NONE, _NO, _NOT_ONE, local="only preprocesses"),
    Option("--print-", JOINED, _DRIVER, _TEXT, _NO, _NOT_ONE),
    Option("--print-file-name", _LONG, _DRIVER, _TEXT, _NO, _NOT_ONE),
    Option("--print-missing-file-dependencies", ALONE, _CPP, _NONE, _DROP),
    Option("--print-prog-name", _LONG, _DRIVER, _TEXT, _NO, _NOT_ONE),
    Option("--save-temps", ALONE | JOINED, _DRIVER, _TEXT, _NO, _FURTHER),
    Option("--serialize-diagnostics", _LONG, _CC, _WRITTEN, _NO, _FURTHER),
    Option("--specs", _LONG, _DRIVER, _READ, _NO, _RUNS),
    Option("--std", _LONG, _CC, _TEXT, _OK, form=r"[\w+:.-]+"),
    Option("--stdlib", _LONG, _CPP, _TEXT, _DROP),
    Option("--sysroot", _LONG, _CPP, _DIR, _DROP),
    Option("--target=", JOINED, _CC, _TEXT, _OK, form=r"[\w.+-]+"),
    Option("--trace-includes", ALONE, _CPP, _NONE, _DROP, local=_TELLS),
    Option("--undefine-macro", _LONG, _CPP, _TEXT, _DROP),
    Option("--user-dependencies", ALONE, _CPP, _NONE, _NO, _NOT_ONE, local=_LISTS),
    Option("--verbose", ALONE, _DRIVER, _NONE, _DROP, local=_TELLS),
    Option("--version", ALONE, _DRIVER, _NONE, _NO, _NOT_ONE),
    Option("--write-dependencies", ALONE, _CPP, _NONE, _DROP),
    Option("--write-user-dependencies", ALONE, _CPP, _NONE, _DROP),
    Option("-A", _BOTH, _CPP, _TEXT, _DROP),
    Option("-B", _BOTH, _DRIVER, _DIR, _NO, _PROGRAMS),
    Option("-C", ALONE, _CPP, _NONE, _DROP, local=_TOGETHER),
    Option("-CC", ALONE, _CPP, _NONE, _DROP, local=_TOGETHER),
    Option("-D", _BOTH, _CPP, _TEXT, _DROP),
    Option("-E", ALONE, _DRIVER, _NONE, _NO, _NOT_ONE, local="only preprocesses"),
    Option("-EB", ALONE, _CC, _NONE, _OK),
    Option("-EL", ALONE, _CC, _NONE, _OK),
    Option("-F", _BOTH, _CPP, _DIR, _DROP),
    Option("-G", SEPARATE, _CC, _TEXT, _NO),
    Option("-H", ALONE, _CPP, _NONE, _DROP, local=_TELLS),
    Option("-I", _BOTH, _CPP, _DIR, _DROP),
    Option("-L", _BOTH, _LD, _DIR, _DROP),
    Option("-M", ALONE, _CPP, _NONE, _NO, _NOT_ONE, local=_LISTS),
    Option("-MD", ALONE, _CPP, _NONE, _DROP),
    Option("-MF", _BOTH, _CPP, _WRITTEN, _DROP),
    Option("-MG", ALONE, _CPP, _NONE, _DROP),
    Option("-MJ", _BOTH, _CPP, _WRITTEN, _DROP, local=_NO_OBJECT),
    Option("-MM", ALONE, _CPP, _NONE, _NO, _NOT_ONE, local=_LISTS),
    Option("-MMD", ALONE, _CPP, _NONE, _DROP),
    Option("-MP", ALONE, _CPP, _NONE, _DROP),
    Option("-MQ", _BOTH, _CPP, _TEXT, _DROP),
    Option("-MT", _BOTH, _CPP, _TEXT, _DROP),
    Option("-O", ALONE | JOINED, _CC, _TEXT, _OK, form=r"[0-3sgz]|fast|\d+"),
    Option("-P", ALONE, _CPP, _NONE, _DROP, local=_TOGETHER),
    Option("-Q", ALONE, _CC, _NONE, _NO, local=_TELLS),
    Option("-Qn", ALONE, _CC, _NONE, _OK),
    Option("-Qunused-arguments", ALONE, _DRIVER, _NONE, _OK),
    Option("-Qy", ALONE, _CC, _NONE, _OK),
    Option("-R", _BOTH, _LD, _DIR, _NO, local=_TELLS, clang=False),
    Option("-R", JOINED, _CC, _TEXT, _OK, local=_TELLS, form=rf"[\w-]+(?:={_SAFE})?", clang=True),
    Option("-S", ALONE, _DRIVER, _NONE, _OK),
    Option("-T", _BOTH, _LD, _READ, _DROP),
    Option("-Tbss", _BOTH, _LD, _TEXT, _DROP),
    Option("-Tdata", _BOTH, _LD, _TEXT, _DROP),
    Option("-Ttext", _BOTH, _LD, _TEXT, _DROP),
    Option("-U", _BOTH, _CPP, _TEXT, _DROP),
    Option("-V", ALONE, _DRIVER, _NONE, _NO, _NOT_ONE),
    Option("-W", ALONE | JOINED, _CC, _TEXT, _OK, form=_TAIL),
    Option("-Wa,", JOINED, _AS, _OPTIONS, _OK),
    Option("-Wdate-time", ALONE, _CPP, _NONE, _OK, in_full=True),
    Option("-Wl,", JOINED, _LD, _OPTIONS, _DROP),
    Option("-Wp,", JOINED, _CPP, _OPTIONS, _DROP),
    Option("-Wunused-macros", ALONE, _CPP, _NONE, _OK, in_full=True),
    Option("-Xanalyzer", SEPARATE, _CC, _OPTIONS, _NO, _PASSED_ON),
    Option("-Xarch_", JOINED, _DRIVER, _OPTIONS, _NO, _PASSED_ON),
    Option("-Xarch_device", SEPARATE, _DRIVER, _OPTIONS, _NO, _PASSED_ON),
    Option("-Xarch_host", SEPARATE, _DRIVER, _OPTIONS, _NO, _PASSED_ON),
    Option("-Xassembler", SEPARATE, _AS, _OPTIONS, _OK),
    Option("-Xclang", SEPARATE, _CC, _OPTIONS, _NO, _PASSED_ON),
    Option("-Xclang=", JOINED, _CC, _OPTIONS, _NO, _PASSED_ON),
    Option("-Xcuda", JOINED, _DRIVER, _OPTIONS, _NO, _PASSED_ON),
    Option("-Xcuda-fatbinary", SEPARATE, _DRIVER, _OPTIONS, _NO, _PASSED_ON),
    Option("-Xcuda-ptxas", SEPARATE, _DRIVER, _OPTIONS, _NO, _PASSED_ON),
    Option("-Xlinker", SEPARATE, _LD, _OPTIONS, _DROP),
    Option("-Xopenmp", JOINED, _DRIVER, _OPTIONS, _NO, _PASSED_ON),
    Option("-Xopenmp-target", SEPARATE, _DRIVER, _OPTIONS, _NO, _PASSED_ON),
    Option("-Xpreprocessor", SEPARATE, _CPP, _OPTIONS, _DROP),
    Option("-ansi", ALONE, _CC, _NONE, _OK),
    Option("-arch", SEPARATE, _CC, _TEXT, _NO, _TWO_TARGETS),
    Option("-aux-info", _LONG, _CC, _WRITTEN, _NO, _FURTHER),
    Option("-b", SEPARATE, _LD, _TEXT, _DROP, clang=True),
    Option("-c", ALONE, _DRIVER, _NONE, _OK),
    Option("-cc1", ALONE | JOINED, _DRIVER, _TEXT, _NO, _WORKER_FILES),
    Option("-ccc-", JOINED, _DRIVER, _TEXT, _NO, _WORKER_FILES),
    Option("-coverage", ALONE, _CC, _NONE, _OK, extra=Extra.GCNO),
    Option("-cuda", JOINED, _DRIVER, _TEXT, _NO, _TWO_TARGETS),
    Option("-cxx-isystem", _BOTH, _CPP, _DIR, _DROP),
    Option("-d", JOINED, _CC, _TEXT, _NO, _FURTHER),
    Option("-dD", ALONE | JOINED, _CPP, _TEXT, _DROP, local=_TOGETHER),
    Option("-dI", ALONE | JOINED, _CPP, _TEXT, _DROP, local=_TOGETHER),
    Option("-dM", ALONE | JOINED, _CPP, _TEXT, _DROP, local=_TOGETHER),
    Option("-dN", ALONE | JOINED, _CPP, _TEXT, _DROP, local=_TOGETHER),
    Option("-dU", ALONE | JOINED, _CPP, _TEXT, _DROP, local=_TOGETHER),
    Option("-dumpbase", _LONG, _CC, _WRITTEN, _NO, _FURTHER),
    Option("-dumpbase-ext", _LONG, _CC, _TEXT, _NO, _FURTHER),
    Option("-dumpdir", _LONG, _CC, _DIR, _NO, _FURTHER),
    Option("-dumpfullversion", ALONE, _DRIVER, _NONE, _NO, _NOT_ONE),
    Option("-dumpmachine", ALONE, _DRIVER, _NONE, _NO, _NOT_ONE),
    Option("-dumpspecs", ALONE, _DRIVER, _NONE, _NO, _NOT_ONE),
    Option("-dumpversion", ALONE, _DRIVER, _NONE, _NO, _NOT_ONE),
    Option("-e", SEPARATE, _LD, _TEXT, _DROP),
    Option("-emit-", JOINED, _DRIVER, _TEXT, _NO, _MODULES),
    Option("-extract-api", ALONE, _DRIVER, _NONE, _NO, _NOT_ONE),
    Option("-f", JOINED, _CC, _TEXT, _OK, form=rf"[\w+-]+(?:={_SAFE})?"),
    Option("-fada-spec", JOINED, _CC, _TEXT, _NO, _FURTHER),
    Option("-fauto-profile", ALONE | EQUALS, _CC, _READ, _NO, _BESIDE),
    Option("-fbranch-probabilities", ALONE, _CC, _NONE, _OK, local=_READS_PROFILE),
    Option("-fbuild-session", JOINED, _CC, _READ, _NO, _MODULES),
    Option(
        "-fcallgraph-info", ALONE | EQUALS, _CC, _TEXT, _OK, form=r"(?:su|da)(?:,(?:su|da))?", extra=Extra.CALLGRAPH
    ),
    Option("-fcilkplus", ALONE | JOINED, _CC, _TEXT, _OK, form=_TAIL, in_full=True),
    Option("-fcompare-debug", ALONE | JOINED, _DRIVER, _TEXT, _NO, _FURTHER),
    Option("-fcoverage-compilation-dir=", JOINED, _CC, _DIR, _NO, _CLANGS, clang=False),
    Option("-fcoverage-compilation-dir=", JOINED, _CC, _DIR, _OK, form=r"[\s\S]*", clang=True),
    Option("-fcoverage-mapping", ALONE, _CC, _NONE, _OK, local=_SHOWS_SOURCE),
    Option("-fcoverage-prefix-map=", JOINED, _CC, _MAP, _OK, form=_MAP_FORM),
    Option("-fcrash-diagnostics", ALONE | JOINED, _DRIVER, _DIR, _NO, _FURTHER),
    Option("-fcs-profile", JOINED, _CC, _READ, _NO, _BESIDE),
    Option("-fcxx-modules", ALONE, _CC, _NONE, _NO, _MODULES),
    Option("-fdebug-compilation-dir", SEPARATE, _CC, _DIR, _OK, form=r"[\s\S]*", clang=True),
    Option("-fdebug-compilation-dir=", JOINED, _CC, _DIR, _NO, _CLANGS, clang=False),
    Option("-fdebug-compilation-dir=", JOINED, _CC, _DIR, _OK, form=r"[\s\S]*", clang=True),
    Option("-fdebug-cpp", ALONE, _CPP, _NONE, _NO, _FURTHER),
    Option("-fdebug-prefix-map=", JOINED, _CC, _MAP, _OK, form=_MAP_FORM),
    Option("-fdeps-", JOINED, _CPP, _WRITTEN, _NO, _FURTHER),
    Option("-fdiagnostics-absolute-paths", ALONE, _CC, _NONE, _OK, local=_SHOWS_SOURCE),
    Option("-fdiagnostics-add-output", ALONE | JOINED, _CC, _WRITTEN, _NO, _FURTHER),
    Option(
        "-fdiagnostics-format=", JOINED, _CC, _TEXT, _OK, _FURTHER, local=_SHOWS_SOURCE, form=rf"(?!.*-file){_SAFE}"
    ),
    Option("-fdiagnostics-generate-patch", ALONE, _CC, _NONE, _OK, local=_SHOWS_SOURCE),
    Option("-fdiagnostics-parseable-fixits", ALONE, _CC, _NONE, _OK, local=_SHOWS_SOURCE),
    Option("-fdiagnostics-print-source-range-info", ALONE, _CC, _NONE, _OK, local=_SHOWS_SOURCE),
    Option("-fdiagnostics-set-output", ALONE | JOINED, _CC, _WRITTEN, _NO, _FURTHER),
    Option("-fdirectives-only", ALONE, _CPP, _NONE, _DROP, local=_TOGETHER),
    Option("-fdump-", JOINED, _CC, _WRITTEN, _NO, _FURTHER),
    Option("-fembed-bitcode", ALONE | JOINED, _CC, _TEXT, _NO, _RECORDS),
    Option("-fembed-offload-object=", JOINED, _CC, _READ, _NO, _BESIDE),
    Option("-ffile-compilation-dir=", JOINED, _CC, _DIR, _NO, _CLANGS, clang=False),
    Option("-ffile-compilation-dir=", JOINED, _CC, _DIR, _OK, form=r"[\s\S]*", clang=True),
    Option("-ffile-prefix-map=", JOINED, _CC, _MAP, _OK, form=_MAP_FORM),
    Option("-fimplicit-module", JOINED, _CC, _TEXT, _NO, _MODULES),
    Option("-finput-charset=", JOINED, _CPP, _TEXT, _DROP, in_full=True),
    Option("-fintrinsic-modules-path", _BOTH, _CC, _DIR, _NO, _MODULES),
    Option("-fltrans", ALONE | JOINED, _CC, _TEXT, _NO, _BESIDE),
    Option("-fmacro-prefix-map=", JOINED, _CPP, _MAP, _OK, form=_MAP_FORM, clang=False),
    # Clang warns that a preprocessed source has no use for it.
    Option("-fmacro-prefix-map=", JOINED, _CPP, _MAP, _DROP, clang=True),
    Option("-fmem-report", ALONE | JOINED, _CC, _TEXT, _OK, local=_TELLS, form=_TAIL),
    Option("-fmemory-profile-use=", JOINED, _CC, _READ, _NO, _BESIDE),
    Option("-fminimize-whitespace", ALONE, _CPP, _NONE, _OK, local=_TOGETHER),
    Option("-fmodule", JOINED, _CC, _TEXT, _NO, _MODULES),
    Option("-fno-directives-only", ALONE, _CPP, _NONE, _DROP, local=_TOGETHER),
    Option("-fno-implicit-module", JOINED, _CC, _TEXT, _NO, _MODULES),
    Option("-fno-integrated-as", ALONE, _DRIVER, _NONE, _OK, local=_OTHER_ASSEMBLER, clang=True),
    Option("-fno-module", JOINED, _CC, _TEXT, _NO, _MODULES),
    Option("-fno-working-directory", ALONE, _CPP, _NONE, _DROP, local=_TOGETHER),
    Option("-foffload", ALONE | JOINED, _CC, _TEXT, _NO, _TWO_TARGETS),
    Option("-fopenacc", ALONE | JOINED, _CC, _TEXT, _OK, form=_TAIL, in_full=True),
    Option("-fopenmp", ALONE | JOINED, _CC, _TEXT, _OK, form=_TAIL, in_full=True),
    Option("-fopenmp-host-", JOINED, _CC, _READ, _NO, _BESIDE),
    Option("-fopenmp-targets", ALONE | JOINED, _CC, _TEXT, _NO, _TWO_TARGETS),
    Option("-fopt-info", ALONE | JOINED, _CC, _WRITTEN, _OK, _FURTHER, local=_TELLS, form=r"[\w-]*"),
    Option("-foptimization-record-", JOINED, _CC, _WRITTEN, _NO, _FURTHER, local=_TELLS),
    Option("-fpass-plugin", JOINED, _CC, _READ, _NO, _PLUGIN),
    Option("-fpch", JOINED, _CC, _READ, _NO, _MODULES),
    Option("-fplugin", JOINED, _CC, _READ, _NO, _PLUGIN),
    Option("-fpost-ipa-mem-report", ALONE | JOINED, _CC, _TEXT, _OK, local=_TELLS, form=_TAIL),
    Option("-fpre-ipa-mem-report", ALONE | JOINED, _CC, _TEXT, _OK, local=_TELLS, form=_TAIL),
    Option("-fprebuilt", JOINED, _CC, _READ, _NO, _MODULES),
    Option("-fpreprocessed", ALONE, _CPP, _NONE, _DROP, local=_TOGETHER),
    Option("-fproc-stat-report", ALONE | JOINED, _DRIVER, _WRITTEN, _NO, _BESIDE),
    Option("-fprofile-abs-path", ALONE, _CC, _NONE, _NO, "names the worker's directories"),
    Option("-fprofile-arcs", ALONE, _CC, _NONE, _OK),
    Option("-fprofile-dir", ALONE | EQUALS, _CC, _DIR, _NO, _CWD_PROFILE),
    Option("-fprofile-exclude-files", ALONE | EQUALS, _CC, _TEXT, _NO, _BESIDE),
    Option("-fprofile-filter-files", ALONE | EQUALS, _CC, _TEXT, _NO, _BESIDE),
    Option("-fprofile-generate", ALONE | JOINED, _CC, _DIR, _OK, _CWD_PROFILE, form=r"(?!)", clang=False),
    Option("-fprofile-generate", ALONE | JOINED, _CC, _DIR, _OK, form=r"[\s\S]*", clang=True),
    Option(
        "-fprofile-instr-use",
        ALONE | JOINED,
        _CC,
        _READ,
        _OK,
        _PROFILE,
        local=_READS_PROFILE,
        form=r"(?!)",
        clang=False,
    ),
    Option("-fprofile-instr-use", ALONE | JOINED, _CC, _READ, _OK, local=_READS_PROFILE, form=r"[\s\S]*", clang=True),
    Option("-fprofile-list", ALONE | EQUALS, _CC, _READ, _NO, _BESIDE),
    Option("-fprofile-note", ALONE | EQUALS, _CC, _WRITTEN, _NO, _BESIDE),
    Option("-fprofile-prefix-", JOINED, _CC, _TEXT, _NO, _BESIDE),
    Option("-fprofile-remapping-file", ALONE | EQUALS, _CC, _READ, _NO, _BESIDE),
    Option("-fprofile-sample-use", ALONE | EQUALS, _CC, _READ, _NO, _BESIDE),
    Option("-fprofile-use", ALONE | JOINED, _CC, _READ, _OK, _PROFILE, local=_READS_PROFILE, form=r"(?!)", clang=False),
    Option("-fprofile-use", ALONE | JOINED, _CC, _READ, _OK, local=_READS_PROFILE, form=r"[\s\S]*", clang=True),
    Option("-framework", SEPARATE, _LD, _TEXT, _DROP),
    Option("-frandom-seed=", JOINED, _CC, _TEXT, _OK, form=r"[^\n]+"),
    Option("-frandomize-layout-seed-file", ALONE | JOINED, _CC, _READ, _NO, _BESIDE),
    Option("-frecord-command-line", ALONE, _CC, _NONE, _NO, _RECORDS, clang=True),
    Option("-frecord-gcc-switches", ALONE, _CC, _NONE, _OK, clang=False, in_full=True),
    Option("-frecord-gcc-switches", ALONE, _CC, _NONE, _NO, _RECORDS, clang=True),
    Option("-fresolution", ALONE | JOINED, _CC, _READ, _NO, _BESIDE),
    Option("-frewrite-", JOINED, _CPP, _TEXT, _OK, local=_TOGETHER, form=_TAIL),
    Option("-fsanitize-", JOINED, _CC, _TEXT, _OK, _BESIDE, form=rf"(?![\w-]*list=){_TAIL}"),
    Option(
        "-fsave-optimization-record",
        ALONE | JOINED,
        _CC,
        _TEXT,
        _NO,
        "makes a file that names the worker's own files",
        local=_TELLS,
        clang=False,
    ),
    Option(
        "-fsave-optimization-record",
        ALONE | EQUALS,
        _CC,
        _TEXT,
        _OK,
        _FURTHER,
        local=_TELLS,
        form="yaml",
        clang=True,
        extra=Extra.OPTIMIZATION_RECORD,
    ),
    Option("-fself-test", ALONE | JOINED, _CC, _TEXT, _NO, _FURTHER),
    Option("-fstack-usage", ALONE, _CC, _NONE, _OK, extra=Extra.STACK_USAGE),
    Option("-fstats", ALONE, _CC, _NONE, _OK, local=_TELLS),
    Option("-fsyntax-only", ALONE, _CC, _NONE, _NO, _NOT_ONE, local=_NO_OBJECT),
    Option("-ftest-coverage", ALONE, _CC, _NONE, _OK, extra=Extra.GCNO),
    Option("-fthinlto-index", JOINED, _CC, _READ, _NO, _BESIDE),
    Option("-ftime-report", ALONE | JOINED, _CC, _TEXT, _OK, local=_TELLS, form=_TAIL),
    Option("-ftime-trace", ALONE, _CC, _NONE, _OK, local=_TELLS, extra=Extra.TIME_TRACE),
    Option("-ftime-trace-", JOINED, _CC, _TEXT, _OK, local=_TELLS, form=_TAIL),
    Option("-ftime-trace=", JOINED, _CC, _WRITTEN, _NO, _FURTHER, local=_TELLS),
    Option("-fuse-ld=", JOINED, _LD, _TEXT, _DROP),
    Option("-fuse-line-directives", ALONE, _CPP, _NONE, _OK, local=_TOGETHER),
    Option("-fuse-linker-plugin=", JOINED, _LD, _READ, _NO, _PLUGIN),
    Option("-fverbose-asm", ALONE, _CC, _NONE, _OK, local=_SHOWS_SOURCE),
    Option("-fworking-directory", ALONE, _CPP, _NONE, _DROP, local=_TOGETHER),
    Option("-fwpa", ALONE | JOINED, _CC, _TEXT, _NO, _BESIDE),
    Option("-fxray-", JOINED, _CC, _TEXT, _NO, _BESIDE),
    Option("-g", ALONE | JOINED, _CC, _TEXT, _OK, form=r"[\w.=-]*"),
    Option("-gcc-toolchain", SEPARATE, _DRIVER, _DIR, _DROP),
    Option("-gembed-source", ALONE, _CC, _NONE, _OK, local=_SHOWS_SOURCE),
    Option("-gen-reproducer", ALONE | JOINED, _DRIVER, _TEXT, _NO, _FURTHER),
    Option("-gnatO", SEPARATE, _CC, _WRITTEN, _NO, _FURTHER, clang=False),
    Option("-grecord-command-line", ALONE, _CC, _NONE, _NO, _RECORDS, clang=True),
    Option("-grecord-gcc-switches", ALONE, _CC, _NONE, _NO, _RECORDS, clang=True),
    Option("-gsplit-dwarf", ALONE | JOINED, _CC, _TEXT, _OK, form=rf"(?:={_SAFE})?", extra=Extra.DWO),
    Option("-h", SEPARATE, _LD, _TEXT, _DROP, clang=False),
    Option("-idirafter", _BOTH, _CPP, _DIR, _DROP),
    Option("-iframework", _BOTH, _CPP, _DIR, _DROP),
    Option("-iframeworkwithsysroot", _BOTH, _CPP, _DIR, _DROP),
    Option("-imacros", _BOTH, _CPP, _READ, _DROP, in_full=True),
    Option("-imultiarch", SEPARATE, _CPP, _DIR, _DROP),
    Option("-imultilib", SEPARATE, _CPP, _DIR, _DROP),
    Option("-include", _BOTH, _CPP, _READ, _DROP),
    Option("-include-pch", _BOTH, _CC, _READ, _NO, _MODULES),
    Option("-integrated-as", ALONE, _DRIVER, _NONE, _OK),
    Option("-iprefix", _BOTH, _CPP, _DIR, _DROP),
    Option("-iquote", _BOTH, _CPP, _DIR, _DROP),
    Option("-isysroot", _BOTH, _CPP, _DIR, _DROP),
    Option("-isystem", _BOTH, _CPP, _DIR, _DROP),
    Option("-isystem-after", _BOTH, _CPP, _DIR, _DROP),
    Option("-ivfsoverlay", _BOTH, _CPP, _READ, _NO, _WORKER_FILES),
    Option("-iwithprefix", _BOTH, _CPP, _DIR, _DROP),
    Option("-iwithprefixbefore", _BOTH, _CPP, _DIR, _DROP),
    Option("-iwithsysroot", _BOTH, _CPP, _DIR, _DROP),
    Option("-l", _BOTH, _LD, _TEXT, _DROP),
    Option("-m", JOINED, _CC, _TEXT, _OK, form=rf"[\w.+-]+(?:={_SAFE})?"),
    Option("-march=native", ALONE | JOINED, _CC, _TEXT, _NO, _CPU),
    Option("-mcpu=native", ALONE | JOINED, _CC, _TEXT, _NO, _CPU),
    Option("-meabi", SEPARATE, _CC, _TEXT, _OK, form=r"\w+", clang=True),
    Option("-mllvm", _LONG, _CC, _OPTIONS, _NO, _PASSED_ON),
    Option("-mthread-model", SEPARATE, _CC, _TEXT, _OK, form=r"\w+", clang=True),
    Option("-mtune=native", ALONE | JOINED, _CC, _TEXT, _NO, _CPU),
    Option("-n", ALONE, _LD, _NONE, _OK),
    Option("-no-canonical-prefixes", ALONE, _DRIVER, _NONE, _OK),
    Option("-no-canonical-prefixes=", JOINED, _DRIVER, _TEXT, _NO, _RUNS),
    Option("-no-integrated-as", ALONE, _DRIVER, _NONE, _OK, clang=False),
    Option("-no-integrated-as", ALONE, _DRIVER, _NONE, _OK, local=_OTHER_ASSEMBLER, clang=True),
    Option("-no-integrated-cpp", ALONE, _DRIVER, _NONE, _OK, local=_TOGETHER),
    Option("-no-pie", ALONE, _CC, _NONE, _OK),
    Option("-nodefaultlibs", ALONE, _LD, _NONE, _OK),
    Option("-nolibc", ALONE, _LD, _NONE, _OK),
    Option("-nopie", ALONE, _CC, _NONE, _OK),
    Option("-nostartfiles", ALONE, _LD, _NONE, _OK),
    Option("-nostdinc", ALONE, _CPP, _NONE, _DROP),
    Option("-nostdinc++", ALONE, _CPP, _NONE, _DROP),
    Option("-nostdlib", ALONE, _LD, _NONE, _OK),
    Option("-nostdlib++", ALONE, _LD, _NONE, _OK),
    Option("-o", _BOTH, _DRIVER, _WRITTEN, _NO, "names an output; the server names it"),
    Option("-object", JOINED, _LD, _TEXT, _NO, "names an output; the server names it"),
    Option("-p", ALONE, _CC, _NONE, _OK),
    Option("-param", SEPARATE, _CC, _TEXT, _NO),
    Option("-pedantic", ALONE, _CC, _NONE, _OK),
    Option("-pedantic-errors", ALONE, _CC, _NONE, _OK),
    Option("-pg", ALONE, _CC, _NONE, _OK),
    Option("-pie", ALONE, _CC, _NONE, _OK),
    Option("-pipe", ALONE, _DRIVER, _NONE, _OK),
    Option("-print-", JOINED, _DRIVER, _TEXT, _NO, _NOT_ONE),
    Option("-pthread", ALONE, _CC, _NONE, _OK),
    Option("-r", ALONE, _LD, _NONE, _NO, _NOT_ONE),
    Option("-rdynamic", ALONE, _LD, _NONE, _OK),
    Option("-remap", ALONE, _CPP, _NONE, _DROP),
    Option("-resource-dir", _BOTH, _DRIVER, _DIR, _NO, _WORKER_FILES),
    Option("-rpath", SEPARATE, _LD, _DIR, _DROP),
    Option("-s", ALONE, _LD, _NONE, _OK),
    Option("-save-temps", ALONE | JOINED, _DRIVER, _TEXT, _NO, _FURTHER, local=_TOGETHER),
    Option("-serialize-diagnostics", _BOTH, _CC, _WRITTEN, _NO, _FURTHER),
    Option("-shared", ALONE, _LD, _NONE, _OK),
    Option("-shared-libgcc", ALONE, _LD, _NONE, _OK),
    Option("-specs", _LONG, _DRIVER, _READ, _NO, _RUNS),
    Option("-static", ALONE, _LD, _NONE, _OK),
    Option("-static-lib", JOINED, _LD, _TEXT, _OK, form=r"\w+"),
    Option("-static-pie", ALONE, _LD, _NONE, _OK),
    Option("-std=", JOINED, _CC, _TEXT, _OK, form=r"[\w+:.-]+"),
    Option("-stdlib++-isystem", _BOTH, _CPP, _DIR, _DROP),
    Option("-stdlib=", JOINED, _CPP, _TEXT, _DROP),
    Option("-symbolic", ALONE, _LD, _NONE, _OK),
    Option("-target", SEPARATE, _CC, _TEXT, _OK, form=r"[\w.+-]+"),
    Option("-time", ALONE, _DRIVER, _NONE, _OK, local=_TELLS),
    Option("-time=", JOINED, _DRIVER, _WRITTEN, _NO, _FURTHER),
    Option("-traditional", ALONE, _CPP, _NONE, _OK, local=_TOGETHER),
    Option("-traditional-cpp", ALONE, _CPP, _NONE, _OK, local=_TOGETHER),
    Option("-trigraphs", ALONE, _CPP, _NONE, _DROP),
    Option("-u", _BOTH, _LD, _TEXT, _DROP),
    Option("-undef", ALONE, _CPP, _NONE, _DROP),
    Option("-v", ALONE, _DRIVER, _NONE, _DROP, local=_TELLS),
    Option("-w", ALONE, _CC, _NONE, _OK),
    Option("-working-directory", _BOTH, _DRIVER, _DIR, _NO, _WORKER_FILES),
    Option("-wrapper", SEPARATE, _DRIVER, _TEXT, _NO, "runs another program"),
    Option("-wrapper,", JOINED, _DRIVER, _TEXT, _NO, "runs another program"),
    Option("-x", _BOTH, _DRIVER, _TEXT, _OK),
    Option("-z", _BOTH, _LD, _TEXT, _DROP),
)
