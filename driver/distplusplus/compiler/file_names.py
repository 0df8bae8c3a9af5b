"""Names of sources and outputs: those that are safe as a file's name and as an argument. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from distplusplus.compiler.not_allowed import NotAllowedError, Reason, shown
from distplusplus.compiler.options import Extra

MAX_NAME_BYTES = 250
MAX_PATH_BYTES = 4096
_MAX_DEPTH = 40


def check_name(name: str) -> None:
    """Raises NotAllowedError unless `name` is a base name that is safe as a file's name and as an argument."""
    if not name or name in (".", ".."):
        problem = "is empty" if not name else "is a directory"
    elif "/" in name:
        problem = "has a directory in it; a base name is needed"
    elif len(name.encode()) > MAX_NAME_BYTES:
        problem = f"is longer than {MAX_NAME_BYTES} bytes"
    elif name[0] in "-@":
        problem = "would be read as an argument"
    elif not name.isprintable():
        problem = "holds characters that cannot be printed"
    else:
        return
    raise NotAllowedError(Reason.BAD_NAME, f"file name {shown(name)} {problem}", name)


def check_output(wanted: str, extras: frozenset[Extra]) -> str:
    """The output as it was named if it can be made below the job's directory, else its base name.

    Raises NotAllowedError.
    """
    parts = wanted.split("/")
    check_name(parts[-1])
    plain = is_plain(parts)
    if not plain and Extra.DWO in extras:
        raise NotAllowedError(
            Reason.BAD_PATH,
            f"-gsplit-dwarf records the output's name, and {wanted[:200]!r} (absolute, or with . or ..)"
            f" cannot be made elsewhere",
            wanted,
        )
    for part in parts[:-1] if plain else []:
        check_name(part)
    return wanted if plain else parts[-1]


def check_path(what: str, path: str) -> None:
    """Raises NotAllowedError for a path that no file can have."""
    if len(path.encode()) > MAX_PATH_BYTES or "\0" in path or "\n" in path:
        raise NotAllowedError(
            Reason.BAD_PATH, f"{what}: longer than {MAX_PATH_BYTES} bytes, or holds a NUL or a line end", path
        )


def is_plain(parts: Sequence[str]) -> bool:
    """Whether a path of these parts stays below the directory that it is relative to."""
    return len(parts) <= _MAX_DEPTH and all(
        part not in ("", ".", "..") and part[0] not in "-@" and len(part.encode()) <= MAX_NAME_BYTES for part in parts
    )
