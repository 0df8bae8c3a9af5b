"""What is special about servers of the first implementation: they have none of the protocol's extensions.

Its behaviour was measured; docs/protocol.md lists it.
"""

from __future__ import annotations

import platform
import re
from typing import Final

from distplusplus.agent.servers.remote_worker import PreparedCompile
from distplusplus.compiler import allowed
from distplusplus.compiler.classify import Compile

# It refuses these.
_REFUSED: Final = re.compile(r"-S|--assemble|-f(?:debug|file|macro|coverage|profile)-prefix-map=.*", re.DOTALL)

# It answers only if it is asked for a compiler that it has; these are the likeliest, as its own client names them.
LIKELY_COMPILERS: Final = tuple(
    f"{target}{name}"
    for name in ("gcc", "g++", "clang", "clang++")
    for target in (f"{platform.machine()}-linux-gnu-", "")
)


def reason_to_refuse(command: Compile) -> str | None:
    """Why such a server cannot do this compile; None if it can."""
    if command.further_outputs:
        return "cannot send further outputs back"
    for argument in command.remote:
        if _REFUSED.fullmatch(argument):
            return f"refuses {argument}"
    return None


def arguments(prepared: PreparedCompile) -> tuple[str, ...]:
    """The arguments for such a server, which compiles in a directory of its own and lets clang record that one.

    GCC takes the directory from the text, where its preprocessor has put it.
    """
    command = prepared.command
    if command.clang and prepared.directory and allowed.check(command.remote, clang=True).debug:
        return (f"-fdebug-compilation-dir={prepared.directory}", *command.remote)
    return command.remote


def taken_slots(load_percent: int, slots: int) -> int:
    """It tells its load as the load average in per cent of its slots, at most 100."""
    return slots * min(load_percent, 100) // 100
