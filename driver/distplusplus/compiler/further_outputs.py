"""The names of the files that a compile writes beside its object. Pure."""

from __future__ import annotations

import os
from collections.abc import Mapping

from distplusplus.compiler.options import Extra

# What follows the output's name less its ending. GCC 11 to 14 and clang 14 agree.
_ENDINGS: Mapping[Extra, str] = {
    Extra.DWO: ".dwo",
    Extra.GCNO: ".gcno",
    Extra.STACK_USAGE: ".su",
    Extra.CALLGRAPH: ".ci",
    Extra.OPTIMIZATION_RECORD: ".opt.yaml",
    Extra.TIME_TRACE: ".json",
}


def further_output_names(output: str, extras: frozenset[Extra]) -> dict[str, Extra]:
    """The base name of each further file that a compile to `output` may write, and what it is."""
    base = os.path.basename(output)
    stem = os.path.splitext(base)[0]
    return {name: extra for extra in extras if (name := stem + _ENDINGS[extra]) != base}
