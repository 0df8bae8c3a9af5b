"""The directory that compilers record for a compile: in debug information, coverage notes and messages."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

# To the agent these are its own process.
_SELF = re.compile(r"/proc/(?:thread-)?self(?=/|$)")


def recorded_directory(directory: str, environ: Mapping[str, str], pid: int) -> str:
    """$PWD where it is the same directory as the current one, else `directory`, which getcwd(3) gave.

    So do GCC (libiberty's getpwd.c) and clang (llvm/lib/Support/Unix/Path.inc, current_path): below a symbolic link
    $PWD names the link, and Bazel sets it to /proc/self/cwd. `pid`: the process to which $PWD means something.
    """
    pwd = environ.get("PWD", "")
    if not pwd.startswith("/") or "\n" in pwd:
        return directory
    try:
        seen = os.stat(_SELF.sub(f"/proc/{pid}", pwd, count=1))
        return pwd if os.path.samestat(seen, os.stat(directory)) else directory
    except (OSError, ValueError):
        return directory
