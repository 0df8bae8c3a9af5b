"""From a command to a header job: its arguments, all files that it may read, and where they are."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Final

from distplusplus.agent.headers.closure import Closures, DoubtError, Inputs
from distplusplus.agent.headers.known_files import KnownFiles, UnusableFileError, read
from distplusplus.agent.local_compilers import LocalCompiler
from distplusplus.compiler import search_path
from distplusplus.compiler.classify import Compile
from distplusplus.compiler.header_arguments import ROOT_MARK, HeaderCommand, header_command
from distplusplus.compiler.languages import X_NAME_OF
from distplusplus.compiler.not_allowed import NotAllowedError
from distplusplus.compiler.own_headers import OwnHeaders, OwnHeadersCache, ask
from distplusplus.compiler.search_path import NoSearchPathError, SearchPath

# Directories of headers, and what changes how GCC writes them (gcc(1), ENVIRONMENT; The C Preprocessor, 13).
_ENVIRONMENT: Final = (
    "CPATH", "C_INCLUDE_PATH", "CPLUS_INCLUDE_PATH", "OBJC_INCLUDE_PATH", "OBJCPLUS_INCLUDE_PATH", "LIBRARY_PATH",
    "SDKROOT", "TARGET_SYSROOT",
)  # fmt: skip
# -ffile-prefix-map came with GCC 8 and clang 10; identical objects were seen from GCC 12 and clang 14 on.
_FIRST_GCC, _FIRST_CLANG = 12, 14
_MAX_FAILED: Final = 10_000


@dataclass(frozen=True)
class HeaderJob:
    """A compile as a worker gets it without preprocessing.

    `directory` is the real path of the working directory.
    """

    command: HeaderCommand
    inputs: Inputs
    source: str
    directory: str
    own_headers: bytes


class HeaderJobs:
    """Makes header jobs, and remembers files, look-ups and search paths from one to the next."""

    def __init__(self) -> None:
        known = KnownFiles()
        self._closures = Closures(known)
        # A compiler that is a wrapper around the launcher must not be asked by way of us.
        self._environment = {"DISTPLUSPLUS_DEPTH": "99"}
        self._own_headers = OwnHeadersCache(self._environment)
        self._search_paths: dict[object, SearchPath] = {}
        self._failed: set[tuple[str, str]] = set()
        # What is known is not for several threads at once.
        self._thread = ThreadPoolExecutor(1, "headers")

    async def make(
        self, command: Compile, compiler: LocalCompiler, directory: str, recorded: str, environ: Mapping[str, str]
    ) -> HeaderJob:
        """The header job for a command in `directory`, of which the compiler records the path `recorded`.

        Raises DoubtError with the reason where there is none.
        """
        step = partial(self._make, command, compiler, directory, recorded, environ)
        return await asyncio.get_running_loop().run_in_executor(self._thread, step)

    def remember_failure(self, source: str, directory: str) -> None:
        """The worker lacked a file that was not foreseen: this source is preprocessed from now on."""
        if len(self._failed) >= _MAX_FAILED:
            self._failed.clear()
        self._failed.add((source, directory))

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _make(
        self, command: Compile, compiler: LocalCompiler, directory: str, recorded: str, environ: Mapping[str, str]
    ) -> HeaderJob:
        if recorded.startswith("/proc/"):
            raise DoubtError(f"the compiler records the directory {recorded}")
        _check(command, compiler, environ)
        if (command.source, directory) in self._failed:
            raise DoubtError("a worker lacked a file of it before")
        try:
            as_header_job = header_command(command.preprocess, command.source, clang=command.clang)
        except NotAllowedError as error:
            raise DoubtError(str(error)) from None
        real = os.path.realpath(directory)
        own = self._own(command, compiler)
        path = self._search_path(command, compiler, as_header_job, own, real)
        inputs = self._closures.find(
            command.source, as_header_job.forced, real, path, as_header_job.defined, recorded=recorded
        )
        _check_names(as_header_job, inputs)
        source = ROOT_MARK + command.source if command.source.startswith("/") else command.source
        return HeaderJob(as_header_job, inputs, source, real, own.digest)

    def _own(self, command: Compile, compiler: LocalCompiler) -> OwnHeaders:
        try:
            return self._own_headers.find(compiler.path, X_NAME_OF[command.language], clang=command.clang)
        except (NoSearchPathError, KeyError) as error:
            raise DoubtError(str(error)) from None

    def _search_path(
        self, command: Compile, compiler: LocalCompiler, as_header_job: HeaderCommand, own: OwnHeaders, directory: str
    ) -> SearchPath:
        language = X_NAME_OF[command.language]
        # The compiler passes over directories that do not exist, so it is asked again when one has come or gone.
        there = tuple(os.path.isdir(os.path.join(directory, name)) for name in as_header_job.directories)
        key = compiler.key, compiler.path, language, as_header_job.search, directory, there
        found = self._search_paths.get(key)
        if found is None:
            question = (
                *as_header_job.search,
                *search_path.question(language, clang=command.clang, own=False),
            )
            try:
                quote, angle = search_path.lists(ask(compiler.path, question, self._environment, directory))
            except NoSearchPathError as error:
                raise DoubtError(str(error)) from None
            found = SearchPath(quote, angle, own.directories)
            if len(self._search_paths) > 1000:
                self._search_paths.clear()
            self._search_paths[key] = found
        if not set(own.directories) <= set(found.angle) and "-nostdinc" not in as_header_job.search:
            raise DoubtError("the compiler looks for its own headers elsewhere with a system root")
        own_places = {os.path.realpath(name) for name in own.directories}
        if any(os.path.realpath(os.path.join(directory, name)) in own_places for name in as_header_job.directories):
            raise DoubtError("a directory of the command is the compiler's own")
        return found


def content_of(path: str, digest: bytes) -> bytes:
    """A file's content for a worker. Raises DoubtError if it is not what was scanned."""
    import hashlib  # noqa: PLC0415

    try:
        data, _, _ = read(path)
    except (OSError, UnusableFileError) as error:
        raise DoubtError(str(error)) from None
    if hashlib.sha256(data).digest() != digest:
        raise DoubtError(f"{path} changed since it was scanned")
    return data


def _check(command: Compile, compiler: LocalCompiler, environ: Mapping[str, str]) -> None:
    """What no arguments tell. Raises DoubtError."""
    if command.further_outputs:
        raise DoubtError("it writes further files")
    first = _FIRST_CLANG if command.clang else _FIRST_GCC
    major = compiler.version.partition(".")[0]
    if not major.isdigit() or int(major) < first:
        raise DoubtError(f"it is compiled by version {compiler.version}; header jobs need {first}")
    for name in _ENVIRONMENT:
        if environ.get(name):
            raise DoubtError(f"{name} is set")


def _check_names(command: HeaderCommand, inputs: Inputs) -> None:
    """The protocol's strings are UTF-8. Raises DoubtError."""
    names = (*command.arguments, *(path for path, _ in inputs.files), *inputs.directories, *map("".join, inputs.links))
    try:
        "".join(names).encode()
    except UnicodeEncodeError:
        raise DoubtError("a name is not UTF-8") from None
    if any(ROOT_MARK in name for name in (*(path for path, _ in inputs.files), *inputs.directories)):
        raise DoubtError("a name holds a control character")
