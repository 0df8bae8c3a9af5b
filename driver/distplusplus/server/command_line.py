"""From a checked request to the compiler's command line and the names of its files. Pure.

Objects must be those that the same compiler makes of the same text on the client's machine. So the client's names and
directories are put where this machine's would show. docs/distplusplusd.md tells what was found out about each compiler.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from distplusplus.compiler.allowed import Arguments
from distplusplus.compiler.file_names import check_name, check_output, check_path
from distplusplus.compiler.identity import Family, Identity
from distplusplus.compiler.languages import PREPROCESSED_ENDING_OF, PREPROCESSED_OPTION_OF, SOURCE_OPTION_OF, Language
from distplusplus.compiler.names import is_gcc_11
from distplusplus.compiler.options import Extra
from distplusplus.protocol import distplusplus_pb2 as pb
from distplusplus.protocol.refusals import CallRefused
from distplusplus.server.compilers import Program

_LINE_MARKER = re.compile(rb'# \d+ "')
# Written by -fworking-directory, which -g switches on: the second line of GCC's output.
_DIRECTORY_MARKER = re.compile(rb'(?:# \d+ "[^"\n]*"[^\n]*\n){0,2}# \d+ "(?:[^"\\\n]|\\.)*//"')
# Names of further outputs, after what the output's own name has before its ending.
_EXTRA_ENDINGS = {
    ".dwo": (Extra.DWO, pb.FurtherOutput.DWO),
    ".gcno": (Extra.GCNO, pb.FurtherOutput.GCNO),
    ".su": (Extra.STACK_USAGE, pb.FurtherOutput.STACK_USAGE),
    ".ci": (Extra.CALLGRAPH, pb.FurtherOutput.CALLGRAPH),
    ".opt.yaml": (Extra.OPTIMIZATION_RECORD, pb.FurtherOutput.OPTIMIZATION_RECORD),
    ".json": (Extra.TIME_TRACE, pb.FurtherOutput.TIME_TRACE),
}


@dataclass(frozen=True)
class CompileCommand:
    """One compile. Names are relative to the job's working directory."""

    argv: tuple[str, ...]
    input_name: str
    output: str
    # Where the profile of -fprofile-use goes, if the job has one.
    profile: str | None
    extras: frozenset[Extra]
    # Clang names a file in .gcno relatively if it is there: as the client's files are in a local compile.
    needs_sources: bool
    # GCC writes its working directory into .gcno: the client's must stand there.
    gcno_directory: str | None

    @property
    def output_dir(self) -> str:
        return os.path.dirname(self.output)


def make(
    request: pb.CompileRequest,
    arguments: Arguments,
    language: Language,
    program: Program,
    identity: Identity,
    head: bytes,
    work: str,
) -> CompileCommand:
    """The command of a job that runs in `work`; `head` is the beginning of its source.

    Raises CallRefused, NotAllowedError.
    """
    check_name(request.inputFile.name)
    check_path("working directory", request.cwd)
    check_path("output name", request.outputName)
    if request.cwd and not request.cwd.startswith("/"):
        raise CallRefused(pb.Refusal.BAD_PATH, f"working directory {request.cwd[:100]!r} is not absolute", request.cwd)
    if arguments.extras and not request.furtherOutputs:
        kinds = ", ".join(sorted(extra.value for extra in arguments.extras))
        raise CallRefused(
            pb.Refusal.FURTHER_OUTPUTS,
            f"the compiler would write further files ({kinds}) and the client does not take any",
            kinds,
        )
    if arguments.assembly_output and not knows_extensions(request):
        # The first implementation's client takes every compile for one to an object.
        raise CallRefused(
            pb.Refusal.NOT_A_COMPILE,
            "-S needs outputName: a client without it writes the assembly into an object file",
            "-S",
        )
    clang = identity.family == Family.CLANG
    input_name = _input_name(request.inputFile.name, language, head)
    output = _output(request, arguments, input_name)
    names = (
        _clang_names(request, arguments, output)
        if clang
        else _gcc_names(request, arguments, identity, output, head, work)
    )
    stop = "-S" if arguments.assembly_output else "-c"
    if request.directivesOnly:
        _check_directives_only(identity, language)
        names.append("-fdirectives-only")
    argv = (program.path, *arguments.kept, *names, *_language_option(language, clang), stop, input_name, "-o", output)
    profile = None
    if arguments.profile_use:
        profile = _PROFDATA if clang else os.path.splitext(output)[0] + ".gcda"
    return CompileCommand(
        argv,
        input_name,
        output,
        profile,
        arguments.extras,
        clang and Extra.GCNO in arguments.extras,
        None if clang or Extra.GCNO not in arguments.extras else request.cwd,
    )


_PROFDATA = "profile.profdata"


def knows_extensions(request: pb.CompileRequest) -> bool:
    """Whether the client knows fields from 100 up. Clients of this project do; the first implementation's does not."""
    return bool(
        request.outputName or request.furtherOutputs or request.language or request.HasField("expectedCompiler")
    )


def extra_kind(file_name: str, command: CompileCommand) -> pb.FurtherOutput.Kind | None:
    """The kind of a file beside the output, None if the job was not asked for that kind."""
    for ending, (extra, kind) in _EXTRA_ENDINGS.items():
        if file_name.endswith(ending) and extra in command.extras:
            return kind
    return None


def with_directory(gcno: bytes, ours: str, theirs: str) -> bytes:
    """GCC's coverage notes with the working directory `ours` replaced by the client's. Raises CallRefused.

    Format: gcc/gcov-io.h. The header is magic, version, stamp and (from GCC 12) checksum, 4 bytes each. The directory
    follows as a string: its length with its NUL in bytes (GCC 12), or in 4-byte words and padded (before).
    """
    order = "little" if gcno.startswith(b"oncg") else "big"
    for start in (16, 12):
        length = int.from_bytes(gcno[start : start + 4], order)  # type: ignore[arg-type]
        for unit in (1, 4):
            stored = gcno[start + 4 : start + 4 + length * unit]
            if length and len(stored) == length * unit and stored.rstrip(b"\0") == ours.encode() and stored[-1] == 0:
                text = theirs.encode() + b"\0"
                text += bytes(-len(text) % unit)
                size = (len(text) // unit).to_bytes(4, order)  # type: ignore[arg-type]
                return gcno[:start] + size + text + gcno[start + 4 + len(stored) :]
    raise CallRefused(
        pb.Refusal.ARGUMENT_NOT_ALLOWED,
        "this compiler writes coverage notes in an unknown form, and they would name the worker's directory",
        "--coverage",
    )


def _language_option(language: Language, clang: bool) -> tuple[str, ...]:
    """For a preprocessed source.

    With objective-c-cpp-output, GCC's driver leaves out -fasynchronous-unwind-tables, which changes .eh_frame and
    the recorded arguments (seen with GCC 12).
    """
    if not clang and language in (Language.OBJECTIVE_C, Language.OBJECTIVE_CXX):
        return "-fpreprocessed", "-x", SOURCE_OPTION_OF[language]
    return "-x", PREPROCESSED_OPTION_OF[language]


def _check_directives_only(identity: Identity, language: Language) -> None:
    """Raises CallRefused unless -fdirectives-only means what it means since GCC 11."""
    if identity.family != Family.GCC or not is_gcc_11(identity.version):
        raise CallRefused(
            pb.Refusal.ARGUMENT_NOT_ALLOWED,
            "only GCC 11 or later can expand macros of -fdirectives-only, and this compiler is another one",
            "-fdirectives-only",
        )
    if language == Language.ASSEMBLER:
        raise CallRefused(pb.Refusal.LANGUAGE_NOT_SUPPORTED, "assembly has no macros to expand", "assembler")


def _input_name(name: str, language: Language, head: bytes) -> str:
    """The name that the source gets here.

    Clang takes the source's name from the first line marker only if the file's own ending says that it is
    preprocessed. Without a marker the file's name is all there is, so it stays as it is.
    """
    stem, ending = os.path.splitext(name)
    if language != Language.ASSEMBLER and _LINE_MARKER.match(head) and ending != PREPROCESSED_ENDING_OF[language]:
        return stem + PREPROCESSED_ENDING_OF[language]
    return name


def _output(request: pb.CompileRequest, arguments: Arguments, input_name: str) -> str:
    wanted = request.outputName
    if not wanted:
        wanted = os.path.splitext(request.inputFile.name)[0] + (".s" if arguments.assembly_output else ".o")
    output = check_output(wanted, arguments.extras)
    if output in (input_name, _PROFDATA) or output.startswith(input_name + "/"):
        raise CallRefused(pb.Refusal.BAD_PATH, f"the output {output[:100]!r} has the name of the input", output)
    return output


def _client_stem(request: pb.CompileRequest, output: str) -> str:
    """The absolute path, at the client, of the output less its ending: what a profile's name is made of."""
    if not request.cwd:
        raise CallRefused(
            pb.Refusal.BAD_PATH, "a profile's path is made of the working directory, and the request has none"
        )
    return os.path.splitext(os.path.join(request.cwd, request.outputName or output))[0]


def _clang_names(request: pb.CompileRequest, arguments: Arguments, output: str) -> list[str]:
    names = []
    own = [argument.partition("=")[0] for argument in arguments.kept]
    if (
        request.cwd
        # .gcno names the directory, too, and so does what an optimization record needs of debug information.
        and (arguments.debug or arguments.coverage or Extra.OPTIMIZATION_RECORD in arguments.extras)
        and not {"-fdebug-compilation-dir", "-ffile-compilation-dir"} & set(own)
    ):
        names.append(f"-fdebug-compilation-dir={request.cwd}")
    coverage_mapping = "-fcoverage-mapping" in arguments.kept
    if request.cwd and coverage_mapping and not {"-fcoverage-compilation-dir", "-ffile-compilation-dir"} & set(own):
        names.append(f"-fcoverage-compilation-dir={request.cwd}")
    if arguments.coverage:
        names += ["-Xclang", f"-coverage-data-file={_client_stem(request, output)}.gcda"]
    if arguments.profile_use:
        names.append(f"{arguments.profile_use_option}={_PROFDATA}")
    return names


def _gcc_names(
    request: pb.CompileRequest, arguments: Arguments, identity: Identity, output: str, head: bytes, work: str
) -> list[str]:
    names = []
    if request.cwd and arguments.debug and not _DIRECTORY_MARKER.match(head):
        names.append(f"-fdebug-prefix-map={work}={arguments.mapped_directory(request.cwd)}")
    if not (arguments.coverage or arguments.profile_generate):
        return names
    # GCC makes the profile's path in the object from -dumpdir, so -dumpdir is the client's directory. Every other
    # further file would be written there, too.
    if arguments.profile_use or arguments.extras - {Extra.GCNO}:
        raise CallRefused(
            pb.Refusal.ARGUMENT_NOT_ALLOWED,
            "coverage or a profile together with -fprofile-use or further outputs can only be compiled locally",
            "--coverage" if arguments.coverage else "-fprofile-generate",
        )
    if not is_gcc_11(identity.version):
        raise CallRefused(
            pb.Refusal.ARGUMENT_NOT_ALLOWED,
            f"GCC {identity.version} would record the worker's directory as the place of the profile; GCC 11 is the"
            " first that can be told another one",
            "--coverage" if arguments.coverage else "-fprofile-generate",
        )
    directory, base = os.path.split(_client_stem(request, output))
    names += ["-dumpdir", f"{directory}/", "-dumpbase", f"{base}.i", "-dumpbase-ext", ".i"]
    if Extra.GCNO in arguments.extras:
        names.append(f"-fprofile-note={os.path.splitext(output)[0]}.gcno")
    return names
