"""`distcc-auto shell-init SHELL`: prints the function distcc_build, for `eval` in a shell's start-up file."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence

from distcc_auto.parser import Parser

_FILES = {"bash": "distcc.sh", "zsh": "distcc.zsh", "fish": "distcc.fish"}
_PROGRAM = "distcc-auto"
# How the files in shells/ name the program; what is printed names the one that runs, which need not be in PATH.
_ASSIGNMENTS = {"bash": "program={}\n", "zsh": "program={}\n", "fish": "set -l program {}\n"}


def run(arguments: Sequence[str], environ: Mapping[str, str]) -> int:  # noqa: ARG001  (every sub-command's signature)
    """Exit status 0. Raises ConfigurationError for a shell that is not known."""
    parser = Parser(
        prog="distcc-auto shell-init",
        usage="distcc-auto shell-init {bash,zsh,fish}",
        description="Prints the shell function distcc_build.",
        epilog="""bash and zsh: eval "$(distcc-auto shell-init bash)"; fish: distcc-auto shell-init fish | source""",
    )
    parser.add_argument("shell", choices=sorted(_FILES), metavar="SHELL", help="bash, zsh or fish")
    options = parser.parse_args(arguments)
    found = shutil.which(sys.argv[0])
    print(function_text(options.shell, os.path.abspath(found) if found else _PROGRAM), end="")
    return 0


def function_text(shell: str, program: str) -> str:
    """The text of the shell's file in shells/, with `program` as what the function runs."""
    path = os.path.join(os.path.dirname(os.path.dirname(__file__)), "shells", _FILES[shell])
    with open(path, encoding="utf-8") as file:
        text = file.read()
    assignment = _ASSIGNMENTS[shell]
    return text.replace(assignment.format(_PROGRAM), assignment.format(_quoted(shell, program)))


def _quoted(shell: str, word: str) -> str:
    if shell != "fish":
        return shlex.quote(word)
    # fish reads \\ and \' within single quotes, and a quoted word is always safe there.
    return "'" + word.replace("\\", "\\\\").replace("'", "\\'") + "'"
