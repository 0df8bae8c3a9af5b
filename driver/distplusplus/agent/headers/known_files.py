"""Files and directories that scans have looked at, and whether they are still as they were.

Every look-up rests on two things: the bytes of a file, known by its digest, and the names that a directory has. Both
are kept with what stat says of them, and are asked for again once in each epoch, which is one job. Names count one by
one: a directory into which a compiler writes objects changes all the time, and no header with it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import time
from dataclasses import dataclass, field
from typing import Any, Final

from distplusplus.agent.headers.scan import Scan, scan

# Times of files come from a clock that ticks every 4 to 10 ms (CONFIG_HZ): what changed so shortly before it was read
# may change again without another time.
_RACY_NS: Final = 50_000_000
_MAX_FILE_BYTES: Final = 64 << 20


class UnusableFileError(Exception):
    """Raised for a file that cannot go with a job: no regular file, too large, or changed while it was read."""


_Signature = tuple[int, int, int, int, int]


@dataclass(eq=False, slots=True)
class KnownFile:
    """One file by the path under which it was looked up. `digest` is SHA-256."""

    path: str
    digest: bytes
    size_bytes: int
    scan: Scan
    signature: _Signature
    is_racy: bool
    epoch: int
    # What `closure` found out about these contents.
    resolved: dict[Any, Any] = field(default_factory=dict)


@dataclass(eq=False, slots=True)
class _KnownDirectory:
    path: str
    signature: _Signature | None
    names: frozenset[str]
    is_racy: bool
    epoch: int
    # What was asked of it, and the answer.
    asked: dict[str, bool] = field(default_factory=dict)


class KnownFiles:
    """All files and directories that any scan of the agent has looked at."""

    def __init__(self) -> None:
        self._files: dict[str, KnownFile] = {}
        self._directories: dict[str, _KnownDirectory] = {}
        self._epoch = 0
        self.generation = 0  # goes up when a look-up that was made would end otherwise now

    def begin(self) -> None:
        """Begins an epoch: everything is looked at again when it is next asked for."""
        self._epoch += 1

    def check_directories(self) -> None:
        """Looks at every directory again that was asked for a name; `generation` tells whether an answer changed."""
        for directory in self._directories.values():
            self._refresh(directory)

    def file(self, path: str) -> KnownFile:
        """The file at `path`, as it is now. Raises UnusableFileError, OSError."""
        known = self._files.get(path)
        if known is not None:
            if known.epoch == self._epoch:
                return known
            if not known.is_racy and _signature(os.stat(path)) == known.signature:
                known.epoch = self._epoch
                return known
        return self._read(path, known)

    def has(self, path: str) -> bool:
        """Whether there is a file or directory of this name. Not followed by a stat of it: that is `file`'s."""
        directory, _, name = path.rpartition("/")
        known = self._directories.get(directory)
        if known is None:
            known = self._directories[directory] = _KnownDirectory(directory, None, frozenset(), True, -1)
        self._refresh(known)
        found = known.asked[name] = name in known.names
        return found

    def forget_results(self) -> None:
        """Forgets what was found out about the files, but not the files."""
        for file in self._files.values():
            file.resolved.clear()

    def __len__(self) -> int:
        return len(self._files)

    def _read(self, path: str, old: KnownFile | None) -> KnownFile:
        data, signature, modified_ns = read(path)
        digest = hashlib.sha256(data).digest()
        is_racy = time.time_ns() - modified_ns < _RACY_NS
        if old is not None and old.digest == digest:
            old.signature, old.is_racy, old.epoch = signature, is_racy, self._epoch
            return old
        known = KnownFile(path, digest, len(data), scan(data), signature, is_racy, self._epoch)
        self._files[path] = known
        return known

    def _refresh(self, directory: _KnownDirectory) -> None:
        if directory.epoch == self._epoch:
            return
        directory.epoch = self._epoch
        signature = None
        with contextlib.suppress(OSError):
            signature = _signature(status := os.stat(directory.path or "/"))
        if signature == directory.signature and not directory.is_racy:
            return
        names: frozenset[str] = frozenset()
        directory.is_racy = False
        if signature is not None:
            with contextlib.suppress(OSError):
                names = frozenset(os.listdir(directory.path or "/"))
            directory.is_racy = time.time_ns() - status.st_mtime_ns < _RACY_NS
        directory.signature, directory.names = signature, names
        for name, answer in directory.asked.items():
            if (name in names) != answer:
                self.generation += 1
                directory.asked = {name: name in names for name in directory.asked}
                break


def read(path: str) -> tuple[bytes, _Signature, int]:
    """The bytes of a regular file, what stat says of it, and when it was changed, in nanoseconds.

    Raises UnusableFileError, also when the file changes meanwhile, and OSError.
    """
    # Opening a pipe would wait for its writer, and O_NONBLOCK means nothing to a regular file.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with open(descriptor, "rb", buffering=0) as file:
        before = os.fstat(descriptor)
        if not stat.S_ISREG(before.st_mode):
            raise UnusableFileError(f"{path} is no regular file")
        if before.st_size > _MAX_FILE_BYTES:
            raise UnusableFileError(f"{path} has {before.st_size} bytes")
        data = file.read(_MAX_FILE_BYTES + 1) or b""
        if _signature(os.fstat(descriptor)) != _signature(before) or len(data) != before.st_size:
            raise UnusableFileError(f"{path} changes while it is read")
    return data, _signature(before), before.st_mtime_ns


def _signature(status: os.stat_result) -> _Signature:
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino, status.st_dev
