"""Names of compilers: which programs are compilers, and by which versions they differ. Pure."""

from __future__ import annotations

import os
import re

_COMPILER = re.compile(r"(?:.+-)?(?P<name>gcc|g\+\+|cc|c\+\+|clang|clang\+\+)(?:-[\d.]+)?")
# Programs that stand in front of a compiler, or that masquerade as one.
WRAPPERS = frozenset({"distcc", "ccache", "sccache", "icecc", "distplusplus", "distcc-auto", "distcc-auto-launcher"})


def compiler_name(path: str) -> str | None:
    """`gcc`, `clang++` ... if the program is called like a compiler, whatever its target and version; else None."""
    found = _COMPILER.fullmatch(os.path.basename(path))
    return found["name"] if found else None


def compiles_as_cxx(compiler: str) -> bool:
    """Whether a compiler of this name or path takes C sources for C++ (g++(1))."""
    return "++" in os.path.basename(compiler)


def is_gcc_11(version: str) -> bool:
    """Whether a GCC of this version is GCC 11 or later."""
    return re.match(r"1[1-9]|[2-9]\d", version) is not None
