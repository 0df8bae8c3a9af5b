"""All files that a compile may read: its source and what that includes, however conditions turn out.

A worker gets a part of the user's files, each at its own place below a root. The compiler there looks in the same
directories in the same order, so it finds the same file as long as the first match of every look-up is among them.
Look-ups that cannot be foreseen raise DoubtError, and the job is preprocessed as before.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, NamedTuple

from distplusplus.agent.headers import scan
from distplusplus.agent.headers.known_files import KnownFile, KnownFiles, UnusableFileError, read
from distplusplus.agent.headers.places import Place, Places
from distplusplus.agent.headers.scan import Form, Operand
from distplusplus.compiler.search_path import SearchPath

# The largest translation units of Boost and LLVM read some 3,000 files.
_MAX_FILES: Final = 20_000
# Each has its results at each header: a project has some for each of its targets.
_MAX_CONTEXTS: Final = 200
_MAX_BYTES: Final = 256 << 20


class DoubtError(Exception):
    """Raised when it is not certain which files a compile reads, or that they mean the same elsewhere."""


@dataclass(frozen=True)
class Inputs:
    """What a worker needs besides its compiler. Paths are absolute and hold no symbolic link, `.` or `..`.

    `own` are headers of the compiler's own directories, which the worker has.
    """

    files: tuple[tuple[str, KnownFile], ...]
    directories: tuple[str, ...]
    links: tuple[tuple[str, str], ...]
    own: tuple[KnownFile, ...]


class _Found(NamedTuple):
    """A file by the path under which the compiler opens it; `is_own`: from the compiler's own directories."""

    path: str
    is_own: bool


@dataclass(frozen=True, eq=False)  # one of each is made, and results are found by it again and again
class _Context:
    """What look-ups of one command depend on, with absolute paths."""

    directory: str
    quote: tuple[str, ...]
    angle: tuple[str, ...]
    own: frozenset[str]


class Closures:
    """Finds the inputs of compiles, and keeps what it found of each header."""

    def __init__(self, known: KnownFiles) -> None:
        self._known = known
        self._places = Places()
        self._contexts: dict[tuple[str, SearchPath], _Context] = {}

    def find(
        self,
        source: str,
        forced: Sequence[str],
        directory: str,
        search_path: SearchPath,
        defined: bytes = b"",
        recorded: str = "",
    ) -> Inputs:
        """The inputs of a compile of `source` in `directory`.

        `forced` are the files of -include and -imacros, `defined` the macros of the command as lines of #define,
        `recorded` is another path of the directory. Raises DoubtError.
        """
        context = self._context(directory, search_path)
        self._known.begin()
        self._known.check_directories()
        todo = [_Found(_absolute(source, directory), is_own=False), *(self._forced(name, context) for name in forced)]
        seen: dict[_Found, KnownFile] = {}
        while todo or (todo := self._guessed(seen, defined, context)):
            found = todo.pop()
            if found in seen:
                continue
            seen[found] = file = self._file(found)
            if len(seen) > _MAX_FILES:
                raise DoubtError(f"it may include more than {_MAX_FILES} files")
            if file.scan.doubts and not found.is_own:
                raise DoubtError(f"{found.path} {file.scan.doubts[0]}")
            todo += self._children(found, file, context)
        self._check_asked(seen, defined)
        return self._inputs(seen, context, recorded or directory)

    def _context(self, directory: str, search_path: SearchPath) -> _Context:
        key = directory, search_path
        context = self._contexts.get(key)
        if context is None:
            if len(self._contexts) >= _MAX_CONTEXTS:
                self._contexts.clear()
                self._known.forget_results()
            own = frozenset(_absolute(name, directory) for name in search_path.own)
            quote = tuple(_absolute(name, directory) for name in search_path.quote)
            angle = tuple(_absolute(name, directory) for name in search_path.angle)
            context = self._contexts[key] = _Context(directory, quote, angle, own)
        return context

    def _file(self, found: _Found) -> KnownFile:
        try:
            return self._known.file(found.path)
        except UnusableFileError as error:
            raise DoubtError(str(error)) from None
        except OSError as error:
            raise DoubtError(f"{found.path}: {error.strerror}") from None

    def _children(self, found: _Found, file: KnownFile, context: _Context) -> tuple[_Found, ...]:
        """What the file's operands name."""
        key = context, found.is_own
        kept = file.resolved.get(key)
        if kept is not None and kept[0] == self._known.generation:
            children: tuple[_Found, ...] = kept[1]
            return children
        matches = (match for operand in file.scan.operands for match in self._matches(operand, found, context))
        children = tuple(dict.fromkeys(matches))
        file.resolved[key] = self._known.generation, children
        return children

    def _forced(self, name: str, context: _Context) -> _Found:
        """The file of an -include: looked for in the working directory, then as one in quotes (gcc(1))."""
        for match in self._candidates(
            _checked_name(os.fsencode(name)), (context.directory, *context.quote, *context.angle), context
        ):
            return match
        raise DoubtError(f"{name} of -include is not found")

    def _matches(self, operand: Operand, includer: _Found, context: _Context) -> Iterator[_Found]:
        """The first file that the operand names, or with #include_next all that it could name."""
        name = _checked_name(operand.name)
        if name.startswith("/"):
            raise DoubtError(f"{includer.path} names the file {name} with its whole path")
        if operand.form == Form.QUOTE:
            beside = f"{includer.path.rpartition('/')[0]}/{name}"
            if self._is_file(beside):
                if includer.is_own and not _is_below(os.path.normpath(beside), context.own):
                    raise DoubtError(f"{includer.path} leaves the compiler's directories")
                yield _Found(beside, includer.is_own)
                if not operand.is_next:
                    return
        directories = (
            (*context.quote, *context.angle) if operand.form == Form.QUOTE or operand.is_next else context.angle
        )
        for match in self._candidates(name, directories, context):
            yield match
            if not operand.is_next:
                return

    def _candidates(self, name: str, directories: Iterable[str], context: _Context) -> Iterator[_Found]:
        for directory in directories:
            path = f"{directory}/{name}"
            if self._is_file(path):
                yield _Found(path, directory in context.own)

    def _is_file(self, path: str) -> bool:
        if self._known.has(path + ".gch"):
            raise DoubtError(f"there is a precompiled header {path}.gch")
        # A directory of that name is passed over, as compilers do.
        return self._known.has(path) and not os.path.isdir(path)

    def _guessed(self, seen: dict[_Found, KnownFile], defined: bytes, context: _Context) -> list[_Found]:
        """What includes by macros may name besides, as far as it is not seen yet.

        All names in any macro's definition are tried. A name that is put together of pieces is missed. On a worker its
        file is missing then, which is an error there and sends the job another way, unless the same name leads to
        another of the files that were sent: so for each of those, whatever comes before it in a search goes, too.
        """
        computing = {_directory_of(found) for found, file in seen.items() if file.scan.computed}
        asking = {_directory_of(found) for found, file in seen.items() if file.scan.asked}
        wrapping = any(file.scan.wrappers for file in seen.values())
        if not computing and not asking and not wrapping:
            return []
        searched = (*context.quote, *context.angle)
        found: set[_Found] = set()
        if computing or asking:
            literals = set(scan.scan(defined).literals).union(*(file.scan.literals for file in seen.values()))
            self._try(literals, computing | asking, context, found)
        if wrapping:
            arguments = set[Operand]().union(*(file.scan.arguments for file in seen.values()))
            self._try(arguments, {_directory_of(found) for found in seen}, context, found)
        if computing:
            for name in {name for entry in seen for name in _names_of(entry, searched)}:
                found.update(islice(self._candidates(name, searched, context), 1))
                found.update(islice(self._candidates(name, context.angle, context), 1))
                for directory in computing:
                    found.update(self._candidates(name, [directory], context))
        return [match for match in found if match not in seen]

    def _try(self, operands: Iterable[Operand], directories: set[str], context: _Context, found: set[_Found]) -> None:
        """Adds what the operands name where they are in a file of any of these directories."""
        for operand in operands:
            name = _checked_name(operand.name)
            if operand.form == Form.QUOTE:
                for directory in directories:
                    found.update(self._candidates(name, [directory], context))
                found.update(islice(self._candidates(name, (*context.quote, *context.angle), context), 1))
            found.update(islice(self._candidates(name, context.angle, context), 1))

    def _check_asked(self, seen: dict[_Found, KnownFile], defined: bytes) -> None:
        """Raises DoubtError unless all names are known that __has_include is asked for: a wrong answer is no error."""
        asked = {name: found for found, file in seen.items() for name in file.scan.asked}
        wrappers = {name: found for found, file in seen.items() for name in file.scan.wrappers}
        if not asked and not wrappers:
            return
        if wrappers and any(file.scan.pieced for file in seen.values()):
            raise DoubtError("a macro asks for files whose names are put together of pieces")
        for name, found in asked.items():
            if scan.definitions(defined, name) is None or not all(_is_plain(file, name) for file in seen.values()):
                raise DoubtError(f"{found.path} asks for a file that the macro {os.fsdecode(name)} names")
        for name, found in wrappers.items():
            if any(_is_called_with_a_macro(file, name) for file in seen.values()):
                raise DoubtError(f"{found.path} has the macro {os.fsdecode(name)}, which asks for what a macro names")

    def _inputs(self, seen: dict[_Found, KnownFile], context: _Context, recorded: str) -> Inputs:
        _check_once(seen)
        files: dict[str, KnownFile] = {}
        place = Place()
        total = 0
        for found, file in seen.items():
            if found.is_own:
                continue
            directory, _, name = found.path.rpartition("/")
            files[f"{self._places.of(directory, place)}/{name}"] = file
            total += file.size_bytes
        if total > _MAX_BYTES:
            raise DoubtError(f"it may include more than {_MAX_BYTES >> 20} MiB")
        for directory in (context.directory, recorded, *context.quote, *context.angle):
            if directory not in context.own:
                self._places.of(directory, place)
        own = tuple(file for found, file in seen.items() if found.is_own)
        return Inputs(tuple(files.items()), tuple(place.directories), tuple(place.links.items()), own)


def _check_once(seen: dict[_Found, KnownFile]) -> None:
    """GCC takes two files for one if size, time and contents agree; on a worker, times say nothing."""
    imports = any(file.scan.imports for file in seen.values())
    by_digest: dict[bytes, str] = {}
    for found, file in seen.items():
        if (file.scan.is_once or imports) and by_digest.setdefault(file.digest, found.path) != found.path:
            raise DoubtError(f"{found.path} is included once, and {by_digest[file.digest]} has the same contents")


def _directory_of(found: _Found) -> str:
    return found.path.rpartition("/")[0]


def _names_of(found: _Found, directories: Iterable[str]) -> Iterator[str]:
    """The names by which a search of these directories could find the file."""
    for directory in directories:
        if found.path.startswith(directory + "/"):
            yield found.path[len(directory) + 1 :]


def _is_plain(file: KnownFile, macro: bytes) -> bool:
    """Whether this file's definitions of the macro are plain names of files, if it has any. Raises DoubtError."""
    key = "plain", macro
    if key not in file.resolved:
        file.resolved[key] = scan.definitions(_text(file), macro) is not None
    return bool(file.resolved[key])


def _is_called_with_a_macro(file: KnownFile, wrapper: bytes) -> bool:
    """Raises DoubtError."""
    key = "called", wrapper
    if key not in file.resolved:
        file.resolved[key] = scan.is_called_with_a_macro(_text(file), wrapper)
    return bool(file.resolved[key])


def _text(file: KnownFile) -> bytes:
    try:
        data, _, _ = read(file.path)
    except (OSError, UnusableFileError) as error:
        raise DoubtError(str(error)) from None
    if hashlib.sha256(data).digest() != file.digest:
        raise DoubtError(f"{file.path} changed since it was scanned")
    return data


def _checked_name(name: bytes) -> str:
    try:
        return name.decode()
    except UnicodeDecodeError:
        raise DoubtError(f"a file's name is not UTF-8: {name!r}") from None


def _absolute(path: str, directory: str) -> str:
    return path if path.startswith("/") else f"{directory}/{path}"


def _is_below(path: str, directories: Iterable[str]) -> bool:
    return any(path.startswith(os.path.normpath(directory) + "/") for directory in directories)
