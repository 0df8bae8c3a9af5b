"""A distplusplusd on this machine's loopback for the benchmarks."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from typing import IO

_PROGRAM = os.path.join(os.path.dirname(sys.executable), "distplusplusd")
_START_TIMEOUT_S = 20.0


@contextlib.contextmanager
def running_server(*options: str, environ: Sequence[tuple[str, str]] = ()) -> Iterator[str]:
    """A server with these options; its address."""
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            [_PROGRAM, "--listen-address", "127.0.0.1:0", "--log-level", "info", *options],
            stderr=log,
            env=os.environ | dict(environ),
        )
        try:
            yield _address(process, log)
        finally:
            process.terminate()
            process.wait(10)


def _address(process: subprocess.Popen[bytes], log: IO[str]) -> str:
    deadline_s = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < deadline_s and process.poll() is None:
        log.seek(0)
        text = log.read()
        if (found := re.search(r"listens on (\S+)", text)) and "slots, from" in text:
            return found[1]
        time.sleep(0.02)
    log.seek(0)
    sys.exit(f"distplusplusd does not start:\n{log.read()}")
