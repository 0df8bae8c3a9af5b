"""How a compiler would show its messages on the user's terminal, told to one that writes them elsewhere. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

# LLVM asks terminfo, or where it is built without, has a list like this.
_CLANG_COLOURS = re.compile(
    r"ansi|cygwin|linux|(?:alacritty|contour|eterm|foot|gnome|konsole|putty|rxvt|screen|tmux|wezterm|xterm).*|.*color"
)


def arguments(environ: Mapping[str, str], *, clang: bool, version: str) -> list[str]:
    """The arguments that say what `environ` means to a compiler of this kind whose messages go to a terminal."""
    term = environ.get("TERM")
    if clang:
        colour = ["-fdiagnostics-color=always"] if term and _CLANG_COLOURS.fullmatch(term) else []
        columns = environ.get("COLUMNS", "")
        return [*colour, f"-fmessage-length={columns}"] if re.fullmatch(r"[1-9]\d{0,5}", columns) else colour
    # GCC's diagnostic-color.cc. Since version 10 names of options are links to the manual.
    if term in (None, "dumb") or environ.get("GCC_COLORS", "default") == "":
        return []
    colour = ["-fdiagnostics-color=always"]
    has_links = re.match(r"[1-9]\d", version) and _shows_links(environ)
    return [*colour, "-fdiagnostics-urls=always"] if has_links else colour


def _shows_links(environ: Mapping[str, str]) -> bool:
    """GCC's auto_enable_urls."""
    program = environ.get("COLORTERM")
    if program in ("xfce4-terminal", "gnome-terminal"):
        return False
    if "GCC_URLS" in environ or "TERM_URLS" in environ:
        return environ.get("GCC_URLS", environ.get("TERM_URLS")) not in ("", "no")
    return program is not None or environ.get("TERM") not in ("xterm", "linux", "vt100")
