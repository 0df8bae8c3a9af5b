"""The same work on many hosts at once; each result is a value, or the reason why there is none."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Generic, TypeVar

from distcc_common.errors import DistccAutoError
from provisioning.host_errors import HostError
from provisioning.safe_text import visible
from provisioning.targets import Target

MOST_AT_ONCE = 32
_LOOK_S = 0.2
_ValueT = TypeVar("_ValueT")
_print_lock = threading.Lock()


@dataclass(frozen=True)
class Done(Generic[_ValueT]):
    target: Target
    value: _ValueT


@dataclass(frozen=True)
class Failed:
    target: Target
    error: Exception


def say(name: str, text: str) -> None:
    """Prints one remark about one host. Remarks of several hosts never mix; control characters are made visible."""
    with _print_lock:
        print("\n".join(f"{name}: {line}" for line in visible(text).rstrip("\n").split("\n")), flush=True)


def on_each(targets: Sequence[Target], work: Callable[[Target], _ValueT]) -> tuple[list[Done[_ValueT]], list[Failed]]:
    """Runs `work` for every target. Failures are reported on standard error at the end, and stop no other host."""
    done, failed = [], []
    with _ended_by_ctrl_c(), ThreadPoolExecutor(max_workers=min(len(targets), MOST_AT_ONCE)) as pool:
        for target, future in [(target, pool.submit(work, target)) for target in targets]:
            # Short waits: a signal that arrives just before a long wait begins would not interrupt it.
            while not wait([future], timeout=_LOOK_S).done:
                pass
            try:
                done.append(Done(target, future.result()))
            except (HostError, DistccAutoError) as error:
                failed.append(Failed(target, error))
    for failure in failed:
        with _print_lock:
            print(f"{failure.target.name}: FAILED: {visible(str(failure.error))}", file=sys.stderr, flush=True)
    return done, failed


@contextlib.contextmanager
def _ended_by_ctrl_c() -> Iterator[None]:
    """Ctrl-C exits at once. As an exception it would wait for the threads, which a silent host blocks for minutes."""
    previous = signal.signal(signal.SIGINT, _end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)


def _end(*_: object) -> None:
    os.write(2, b"interrupted; run the same command again to complete it\n")
    os._exit(130)
