"""Starts distccd, its statistics front and sshd, restarts what dies, and ends all of them in order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import pwd
import signal
import sys
import time
from dataclasses import dataclass

from distcc_common import landlock, limits
from distcc_worker import sshd
from distcc_worker.drain import drain
from distcc_worker.stats_front import StatsFront
from distcc_worker.worker_settings import DISTCCD_STATS_PORT, JOB_PORT, STATS_PORT, WorkerSettings

RESTART_S = 0.5
# A program that ends sooner than this has not worked; after so many such ends in a row, the worker gives up.
SHORT_LIFE_S = 2.0
SHORT_LIVES = 5

_log = logging.getLogger("distcc-worker")


@dataclass
class KeptProgram:
    """A program that is restarted whenever it ends by itself."""

    name: str
    command: list[str]
    process: asyncio.subprocess.Process | None = None

    async def keep_running(self) -> str:
        """Returns the reason, but only after the program has repeatedly ended at once."""
        short_lives = 0
        while True:
            began = time.monotonic()
            self.process = await asyncio.create_subprocess_exec(
                *self.command, stdin=asyncio.subprocess.DEVNULL, start_new_session=True
            )
            status = await self.process.wait()
            # distccd's other processes outlive it and keep the port that the next one needs.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            short_lives = short_lives + 1 if time.monotonic() - began < SHORT_LIFE_S else 0
            _log.warning("%s ended (%s)", self.name, _how(status))
            if short_lives == SHORT_LIVES:
                return f"{self.name} ended {SHORT_LIVES} times right after its start, the last time with {_how(status)}"
            await asyncio.sleep(RESTART_S)

    def running_pid(self) -> int | None:
        return self.process.pid if self.process and self.process.returncode is None else None


async def supervise(settings: WorkerSettings, state_dir: str) -> int:
    """Runs until SIGTERM or SIGINT and returns 0, or 1 when a program cannot be kept running."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    distccd: KeptProgram | None = None
    front: asyncio.Server | None = None
    programs: list[KeptProgram] = []
    if settings.forward_to is None:
        distccd = KeptProgram("distccd", distccd_command(settings, state_dir))
        programs.append(distccd)
        statistics = StatsFront(DISTCCD_STATS_PORT, lambda: limits.memory().available_mib, settings.allow)
        front = await statistics.start(STATS_PORT)
        _log.info("distccd takes %d jobs (%s)", settings.jobs, settings.jobs_reason)
    if settings.ssh_keys:
        text = sshd.config(state_dir, pwd.getpwuid(os.getuid()).pw_name, permit_open(settings))
        programs.append(KeptProgram("sshd", sshd.prepare(state_dir, settings.ssh_keys, text)))
        if distccd and not landlock.abi():
            _log.warning("no Landlock here (Linux 5.13): compilers can read sshd's host key; see docs/images.md")
    else:
        _log.info("no public keys given: sshd is not started")

    keepers = [asyncio.create_task(program.keep_running()) for program in programs]
    stopping = asyncio.create_task(stop.wait())
    done, _ = await asyncio.wait([stopping, *keepers], return_when=asyncio.FIRST_COMPLETED)
    for task in (stopping, *keepers):
        task.cancel()
    for task in done - {stopping}:
        _log.error("%s", task.result())
    if front:
        front.close()
    if distccd and (pid := distccd.running_pid()):
        cut_off = await drain(pid, settings.drain_s)
        _log.info("distccd has ended; jobs cut off: %d", cut_off)
    # sshd ends last: jobs that have just finished may have come through it.
    for program in programs:
        if program.running_pid() and program.process:
            with contextlib.suppress(ProcessLookupError):
                program.process.terminate()
            await program.process.wait()
    return 0 if stop.is_set() else 1


def distccd_command(settings: WorkerSettings, state_dir: str) -> list[str]:
    return [
        # When memory runs out, the kernel must kill a compiler, not the supervisor.
        *("choom", "-n", "500", "--"),
        # sshd's keys are in the state directory.
        *(sys.executable, "-m", "distcc_worker.confined", state_dir),
        *("distccd", "--daemon", "--no-detach", "--log-stderr", "--log-level", settings.log_level),
        *("--port", str(JOB_PORT), "--stats", "--stats-port", str(DISTCCD_STATS_PORT)),
        *("--jobs", str(settings.jobs)),
        *(word for network in settings.allow for word in ("--allow", str(network))),
    ]


def permit_open(settings: WorkerSettings) -> list[str]:
    """What a tunnel may reach: the gateway's target, or the two ports of this worker's distccd."""
    if settings.forward_to:
        return [settings.forward_to]
    names = ("localhost", "127.0.0.1", "[::1]")
    return [f"{name}:{port}" for name in names for port in (JOB_PORT, STATS_PORT)]


def _how(status: int) -> str:
    return f"signal {-status}" if status < 0 else f"status {status}"
