"""The commands of the worker's programs, and when one is given up."""

from __future__ import annotations

import asyncio
import dataclasses
import ipaddress
import sys

import pytest

from distcc_worker import supervisor
from distcc_worker.supervisor import KeptProgram, distccd_command, permit_open
from distcc_worker.worker_settings import WorkerSettings

SETTINGS = WorkerSettings(
    allow=(ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("192.0.2.0/24")),
    jobs=6,
    jobs_reason="4 CPUs",
    ssh_keys="",
    forward_to=None,
    drain_s=30.0,
    log_level="notice",
)


def test_distccd_gets_the_settings() -> None:
    words = distccd_command(SETTINGS, "/state")
    program = words[words.index("distccd") :]
    given = {program[index]: program[index + 1] for index in range(1, len(program) - 1)}
    assert (given["--jobs"], given["--log-level"], given["--port"]) == ("6", "notice", "3632")
    assert [program[index + 1] for index, word in enumerate(program) if word == "--allow"] == [
        "127.0.0.0/8",
        "192.0.2.0/24",
    ]


def test_distccd_is_killed_before_the_supervisor_and_cannot_use_its_directory() -> None:
    words = distccd_command(SETTINGS, "/state")
    confined = [sys.executable, "-m", "distcc_worker.confined", "/state"]
    assert words[: words.index("distccd")] == ["choom", "-n", "500", "--", *confined]


def test_a_tunnel_reaches_both_ports_by_each_name_of_this_host() -> None:
    assert permit_open(SETTINGS) == [
        *("localhost:3632", "localhost:3633", "127.0.0.1:3632", "127.0.0.1:3633", "[::1]:3632", "[::1]:3633")
    ]


def test_a_gateway_forwards_to_its_target_alone() -> None:
    assert permit_open(dataclasses.replace(SETTINGS, forward_to="worker-1:3632")) == ["worker-1:3632"]


def test_a_program_that_keeps_ending_at_once_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "RESTART_S", 0.0)
    program = KeptProgram("distccd", [sys.executable, "-S", "-c", "raise SystemExit(3)"])
    reason = asyncio.run(asyncio.wait_for(program.keep_running(), 60))
    assert reason == "distccd ended 5 times right after its start, the last time with status 3"
    assert program.running_pid() is None


def test_a_program_that_a_signal_ended_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "RESTART_S", 0.0)

    async def kill_one() -> tuple[int, int]:
        program = KeptProgram("distccd", ["sleep", "60"])
        keeper = asyncio.create_task(program.keep_running())
        first = await _pid(program, 0)
        assert program.process
        program.process.kill()
        second = await _pid(program, first)
        keeper.cancel()
        program.process.kill()
        await program.process.wait()
        return first, second

    first, second = asyncio.run(asyncio.wait_for(kill_one(), 60))
    assert first != second


async def _pid(program: KeptProgram, before: int) -> int:
    """The program's process once it runs and is another than `before`."""
    while (pid := program.running_pid()) in (None, before):
        await asyncio.sleep(0.001)
    assert pid
    return pid
