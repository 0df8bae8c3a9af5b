"""The bytes of a `distccd --stats` reply -> `WorkerStats`. Pure.

The reply (distcc 3.4, src/stats.c) is HTTP/1.0 with bare line feeds. Between `<distccstats>` and `</distccstats>` there
is one `name value` per line. Only `dcc_max_kids` is required: other builds of distccd leave out or add the rest.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

REQUEST = b"GET / HTTP/1.0\r\n\r\n"
END = b"</distccstats>"
# The reply of distcc 3.4 has about 600 bytes.
MAX_REPLY_BYTES = 64 * 1024
# More than twice the hardware threads of the largest machine on sale. A larger number would only make `-j` absurd.
MAX_KIDS = 4096

_START = b"<distccstats>"


class StatsError(ValueError):
    """Raised when a reply is not what `distccd --stats` sends."""


@dataclass(frozen=True)
class WorkerStats:
    """What a worker reported; None for what it left out."""

    max_kids: int
    loads: tuple[float | None, float | None, float | None] = (None, None, None)
    free_memory_mib: int | None = None
    compile_ok: int | None = None

    @property
    def average_load(self) -> float | None:
        """The mean of the loads over 1, 5 and 15 minutes, as far as the worker reported them."""
        known = [load for load in self.loads if load is not None]
        return sum(known) / len(known) if known else None


def parse(reply: bytes) -> WorkerStats:
    """What a reply says. Raises StatsError, whose text completes "it answered, but ..."."""
    _, start, rest = reply.partition(_START)
    if not start:
        raise StatsError("without <distccstats>")
    body, end, _ = rest.partition(END)
    if not end:
        raise StatsError("only half of the statistics")
    values: dict[str, str] = {}
    for line in body.decode("ascii", "replace").splitlines():
        name, _, value = line.strip().partition(" ")
        values[name] = value.strip()
    return WorkerStats(
        max_kids=_max_kids(values.get("dcc_max_kids")),
        loads=(
            _load(values.get("dcc_load1")),
            _load(values.get("dcc_load2")),
            _load(values.get("dcc_load3")),
        ),
        # "dcc_free_mem 5120 MB"
        free_memory_mib=_count((values.get("dcc_free_mem") or "").partition(" ")[0]),
        compile_ok=_count(values.get("dcc_compile_ok")),
    )


def _max_kids(text: str | None) -> int:
    if text is None:
        raise StatsError("without dcc_max_kids")
    number = _count(text)
    if number is None or number > MAX_KIDS:
        raise StatsError(f"with dcc_max_kids '{text[:40]}', not a number from 0 to {MAX_KIDS}")
    return number


def _count(text: str | None) -> int | None:
    """A non-negative whole number, None for anything else. No real counter has more than 18 digits."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) <= 18 else None


def _load(text: str | None) -> float | None:
    try:
        load = float(text or "")
    except ValueError:
        return None
    return load if math.isfinite(load) and load >= 0 else None
