"""What a build will get wrong with distcc or the launcher as far as its tree shows it, and the line that mends it.

Nothing is said unless the tree proves it: a wrong warning in every build is worse than none.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

from distcc_auto.build.build_tree import BuildTree, is_link_to

_PAGE = "docs/distcc-or-launcher.md"
# Programs before the compiler that hand a compile on. What ccache does with one is a matter of CCACHE_PREFIX.
_FRONT_ENDS: Mapping[str, tuple[str, ...]] = {
    "distcc": ("distcc", "distplusplus", "ccache", "sccache", "icecc"),
    "distplusplus": ("distplusplus", "ccache", "sccache"),
}
_COMPILERS = ("cc", "c++", "gcc", "g++", "clang", "clang++")


def for_distcc(tree: BuildTree, environ: Mapping[str, str], *, loses_files: bool) -> Iterator[str]:
    """For a build through distcc; `loses_files` if a worker is a distccd, which returns an object and nothing else."""
    yield from _stays_local(tree, "distcc", environ)
    yield from _ccache_runs_distcc_twice(tree)
    if loses_files:
        yield from _lost_files(tree)


def for_launcher(tree: BuildTree, environ: Mapping[str, str]) -> Iterator[str]:
    """For a build through distplusplus."""
    yield from _stays_local(tree, "distplusplus", environ)


def _stays_local(tree: BuildTree, front_end: str, environ: Mapping[str, str]) -> Iterator[str]:
    """A tree that CMake or Meson has configured to call the compiler itself."""
    words = _words(tree)
    if not words or any(os.path.basename(word) in _FRONT_ENDS[front_end] for word in words):
        return
    compilers = list(_compilers(words, environ))
    if not compilers or any(is_link_to(path, *_FRONT_ENDS[front_end]) for path in compilers):
        return
    if tree.is_cmake:
        launchers = (f"-DCMAKE_{language}_COMPILER_LAUNCHER={front_end}" for language in ("C", "CXX"))
        how = f"cmake {' '.join(launchers)} {tree.directory}"
    else:
        how = f"configure it anew with CC='{front_end} gcc' CXX='{front_end} g++'"
    yield f"{tree.directory} was configured without {front_end} and compiles on this machine only; to mend it: {how}"


def _ccache_runs_distcc_twice(tree: BuildTree) -> Iterator[str]:
    """ccache takes a compiler with a path as it is; CCACHE_PATH helps only where it looks a name up (ccache 4.7)."""
    words = _words(tree)
    twice = sorted(word for word in words if "/" in word and _is_compiler(word) and is_link_to(word, "distcc"))
    if twice and any(os.path.basename(word) == "ccache" for word in words):
        yield (
            f"{tree.directory}: ccache will fail, as it calls distcc for {twice[0]}, which is distcc itself; "
            f"configure it anew without {os.path.dirname(twice[0])} in PATH"
        )


def _lost_files(tree: BuildTree) -> Iterator[str]:
    options = tree.makefile_options
    if options & {"-MD", "-MMD"} and not ("-MF" in options and options & {"-MT", "-MQ"}):
        yield (
            f"the Makefile in {tree.directory} has -MD or -MMD without -MF and -MT: distcc then writes ./SOURCE.d "
            f"about SOURCE.o, whatever -o says; add -MF $(@:.o=.d) -MT $@, or changed headers go unnoticed ({_PAGE})"
        )
    for option, kind in (("-gsplit-dwarf", ".dwo"), ("-fstack-usage", ".su")):
        if option in options | _words(tree) | set(tree.flags):
            yield f"{option}: a distccd does not send {kind} files back, so they will be missing ({_PAGE})"


def _words(tree: BuildTree) -> set[str]:
    """Every word of the commands that compile, also those inside CMake's `--launcher="..."`."""
    return {word for command in tree.compiles for word in command.replace('"', " ").replace("=", " ").split()}


def _compilers(words: set[str], environ: Mapping[str, str]) -> Iterator[str]:
    """The files that are run as compilers: names are looked up in PATH."""
    for word in filter(_is_compiler, words):
        if "/" in word:
            yield word
            continue
        for directory in environ.get("PATH", os.defpath).split(os.pathsep):
            if os.path.isfile(path := os.path.join(directory, word)):
                yield path
                break


def _is_compiler(word: str) -> bool:
    """Also with a target before and a version after it: aarch64-linux-gnu-g++-12."""
    name = os.path.basename(word).rstrip("0123456789.").rstrip("-")
    return name in _COMPILERS or name.endswith(tuple(f"-{known}" for known in _COMPILERS))
