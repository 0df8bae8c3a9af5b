"""How the tests build a real project, Lua, and what they know of its objects."""

from __future__ import annotations

import hashlib
import os

COMPILER = "gcc-12"
# 32 objects of about 0.2 s each; `-g` is left out, so that equal compilers make equal objects.
BUILD = ("make", "-s", "a")


def objects(directory: str) -> dict[str, str]:
    """Name -> digest of each object in `directory`."""
    digests = {}
    for name in sorted(os.listdir(directory)):
        if name.endswith(".o"):
            with open(os.path.join(directory, name), "rb") as file:
                digests[name] = hashlib.sha256(file.read()).hexdigest()
    return digests
