"""`distcc-auto demo` ends clean, and a worker on loopback that is stopped has ended with everything it started."""

from __future__ import annotations

import sys
from pathlib import Path

from distcc_auto.demo.loopback import LoopbackWorker
from tests.integration.sandbox import DISTCC_AUTO, Sandbox

# Becomes the parent of whatever the demo leaves behind, and names it; those that have ended, too.
_DEMO_AND_WHAT_IT_LEAVES = """\
import ctypes, glob, os, subprocess, sys
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
status = subprocess.run([sys.argv[1], "demo"]).returncode
for path in glob.glob("/proc/[0-9]*/stat"):
    try:
        fields = open(path).read().rpartition(")")
    except OSError:
        continue
    if int(fields[2].split()[1]) == os.getpid():
        print("left behind:", fields[0])
sys.exit(status)
"""


def test_nothing_of_the_demo_is_left_when_it_returns(sandbox: Sandbox) -> None:
    # distccd runs as another user, who cannot reach the directory of the test.
    done = sandbox.run([sys.executable, "-c", _DEMO_AND_WHAT_IT_LEAVES, DISTCC_AUTO], env={"TMPDIR": "/tmp"})
    assert done.returncode == 0, done
    assert "primes below 50000: 5133" in done.stdout
    assert "left behind" not in done.stdout


def test_a_stopped_worker_has_no_running_process_left() -> None:
    with LoopbackWorker(4) as worker:
        session = worker.pid
        assert len(_session(session)) > 1
    assert _session(session) == []


def _session(session: int) -> list[str]:
    """The processes of a session that run; those that wait for process 1 to collect them have ended."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = path.read_text()
        except OSError:
            continue
        state, _, _, its_session, *_ = text.rpartition(")")[2].split()
        if int(its_session) == session and state not in "ZX":
            found.append(text)
    return found
