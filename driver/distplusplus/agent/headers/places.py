"""Where a directory really is, and by which symbolic links it is reached."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Final

_MAX_LINKS: Final = 40  # as Linux (path_resolution(7))


@dataclass
class Place:
    """What must exist below a worker's root so that all paths that were asked for lead where they lead here.

    Directories and links by their real paths; a link's value is its target as it is written.
    """

    directories: dict[str, None] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)


class Places:
    """Resolves directories, and remembers how."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[tuple[int, int], str, Place]] = {}

    def of(self, directory: str, into: Place) -> str:
        """The real path of an absolute directory; adds to `into` what its path goes through.

        A part that does not exist ends the walk: a compiler finds nothing behind it either.
        """
        try:
            status = os.stat(directory)
            identity = status.st_dev, status.st_ino
        except OSError:
            identity = 0, 0
        kept = self._kept.get(directory)
        if kept is None or kept[0] != identity or identity == (0, 0):
            place = Place()
            kept = self._kept[directory] = identity, _walk(directory, place), place
        into.directories.update(kept[2].directories)
        into.links.update(kept[2].links)
        return kept[1]


def _walk(directory: str, place: Place) -> str:
    parts = [part for part in reversed(directory.split("/")) if part]
    real = ""
    followed = 0
    while parts:
        part = parts.pop()
        if part == ".":
            continue
        if part == "..":
            real = real.rpartition("/")[0]
            continue
        path = f"{real}/{part}"
        try:
            target = os.readlink(path)
        except OSError:
            target = ""
        if not target:
            if not os.path.isdir(path):
                break
            real = path
            place.directories[real] = None
            continue
        followed += 1
        if followed > _MAX_LINKS:
            break
        place.links[path] = target
        if target.startswith("/"):
            real = ""
        parts += [part for part in reversed(target.split("/")) if part]
    return real
