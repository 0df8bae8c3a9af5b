"""Contents by their SHA-256 digests, on disk: bounded, apart by owner, checked when they are read.

A content is written beside its place and renamed, so what has a name is whole. Nothing is kept in memory between calls
but the total size, and that is found again from the directory: several servers may share one directory, and a server
that is killed leaves a temporary file at most, which the next look through the directory removes.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

# What is thrown away goes down to this share of the limit, so that it is not looked for again at once.
_KEPT_SHARE: Final = 0.9
# A content's time of use is written down when it is older than this: that many writes are spared.
_USE_NOTED_S: Final = 600.0
_TEMPORARY_KEPT_S: Final = 3600.0
_TEMPORARY: Final = ".new-"


class StoreError(Exception):
    """Raised when a content cannot be stored: the disk is full, or the directory cannot be written."""


@dataclass(frozen=True)
class _Entry:
    path: str
    size_bytes: int
    used_s: float


class Store:
    """A directory of contents. `owner`: whose they are; what one owner has stored, another one has not.

    A digest alone opens nothing: it may be known to somebody who does not know the content.
    """

    def __init__(self, directory: str, max_bytes: int, max_owner_bytes: int) -> None:
        self._directory = directory
        self._max_bytes = max_bytes
        self._max_owner_bytes = max_owner_bytes
        self._sizes: dict[str, int] | None = None

    def read(self, owner: str, digest: bytes) -> bytes | None:
        """The content, None if it is not there. One that does not fit its digest is removed."""
        path = self._path(owner, digest)
        try:
            with open(path, "rb") as file:
                data = file.read()
                used_s = os.fstat(file.fileno()).st_mtime
        except OSError:
            return None
        if hashlib.sha256(data).digest() != digest:
            self._remove(path)
            return None
        if time.time() - used_s > _USE_NOTED_S:
            with contextlib.suppress(OSError):
                os.utime(path)
        return data

    def has(self, owner: str, digest: bytes) -> bool:
        """Whether there is such a content; `read` may still find it damaged."""
        return os.path.exists(self._path(owner, digest))

    def write(self, owner: str, data: bytes) -> bytes:
        """Stores a content and returns its digest. Raises StoreError."""
        digest = hashlib.sha256(data).digest()
        path = self._path(owner, digest)
        directory = os.path.dirname(path)
        self._make_room(owner, len(data))
        temporary = ""
        try:
            os.makedirs(directory, mode=0o700, exist_ok=True)
            descriptor, temporary = tempfile.mkstemp(prefix=_TEMPORARY, dir=directory)
            with open(descriptor, "wb") as file:
                file.write(data)
            os.replace(temporary, path)
        except OSError as error:
            if temporary:
                self._remove(temporary)
            raise StoreError(f"{self._directory}: {error.strerror}") from error
        if self._sizes is not None:
            self._sizes[_key(owner)] = self._sizes.get(_key(owner), 0) + len(data)
        return digest

    def _path(self, owner: str, digest: bytes) -> str:
        name = digest.hex()
        return os.path.join(self._directory, _key(owner), name[:2], name[2:])

    def _make_room(self, owner: str, size_bytes: int) -> None:
        """Throws away what was used longest ago. Raises StoreError for what can never fit."""
        if size_bytes > min(self._max_bytes, self._max_owner_bytes):
            raise StoreError(f"a content of {size_bytes} bytes is more than the store takes")
        key = _key(owner)
        if self._sizes is None:
            self._sizes = {}
            self._look_through()
        if (
            sum(self._sizes.values()) + size_bytes <= self._max_bytes
            and self._sizes.get(key, 0) + size_bytes <= self._max_owner_bytes
        ):
            return
        with self._locked():
            entries = self._look_through()
            self._throw_away(
                [entry for entry in entries if entry.path.startswith(os.path.join(self._directory, key) + "/")],
                self._max_owner_bytes - size_bytes,
            )
            self._throw_away(self._look_through(), self._max_bytes - size_bytes)
            self._look_through()

    def _throw_away(self, entries: list[_Entry], room_bytes: int) -> None:
        total = sum(entry.size_bytes for entry in entries)
        if total <= room_bytes:
            return
        for entry in sorted(entries, key=lambda entry: entry.used_s):
            self._remove(entry.path)
            total -= entry.size_bytes
            if total <= room_bytes * _KEPT_SHARE:
                return

    def _look_through(self) -> list[_Entry]:
        """All contents there are; counts them anew, and removes what killed servers have left."""
        sizes: dict[str, int] = {}
        entries = []
        for directory, _, names in os.walk(self._directory):
            owner = os.path.relpath(directory, self._directory).split(os.sep)[0]
            for name in names:
                path = os.path.join(directory, name)
                try:
                    status = os.stat(path)
                except OSError:
                    continue
                if name.startswith(_TEMPORARY):
                    if time.time() - status.st_mtime > _TEMPORARY_KEPT_S:
                        self._remove(path)
                elif directory != self._directory:
                    entries.append(_Entry(path, status.st_size, status.st_mtime))
                    sizes[owner] = sizes.get(owner, 0) + status.st_size
        self._sizes = sizes
        return entries

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """One server at a time throws away. Raises StoreError."""
        try:
            os.makedirs(self._directory, mode=0o700, exist_ok=True)
            descriptor = os.open(os.path.join(self._directory, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(f"{self._directory}: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    @staticmethod
    def _remove(path: str) -> None:
        with contextlib.suppress(OSError):
            os.unlink(path)


def _key(owner: str) -> str:
    """The directory of an owner: names may hold anything."""
    return hashlib.sha256(owner.encode(errors="surrogateescape")).hexdigest()[:32]
