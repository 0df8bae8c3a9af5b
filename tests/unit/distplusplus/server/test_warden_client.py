"""Jobs in directories of their own, run by a real warden."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from distplusplus.protocol.refusals import CallRefused
from distplusplus.server.warden_client import Ended, JobDir, WardenClient, choose_parent, settle

SHELL = "/bin/sh"


def with_warden(parent: Path, scenario: Callable[[WardenClient], Awaitable[None]]) -> None:
    async def run() -> None:
        warden = WardenClient(str(parent), 1 << 34, 1 << 30, None)
        await warden.connect()
        try:
            async with asyncio.timeout(60):
                await scenario(warden)
        finally:
            await warden.close()

    asyncio.run(run())


async def shell(warden: WardenClient, script: str, timeout_s: float = 30) -> Ended:
    return await warden.run([SHELL, "-c", script], warden.new_dir(), [], timeout_s)


def lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def pid_in(path: Path) -> int:
    while not path.exists() or not path.read_text().endswith("\n"):
        await asyncio.sleep(0.005)
    return int(path.read_text())


def test_how_a_job_ended_is_told_as_a_shell_does(tmp_path: Path) -> None:
    async def scenario(warden: WardenClient) -> None:
        ended = await shell(warden, "exit 3")
        assert (ended.return_code, ended.signal, ended.timed_out) == (3, 0, False)
        ended = await shell(warden, "kill -KILL $$")
        assert (ended.return_code, ended.signal, ended.timed_out) == (128 + signal.SIGKILL, signal.SIGKILL, False)
        ended = await shell(warden, "kill -XCPU $$")
        assert ended.timed_out, "the limit of CPU time counts as a job's time"

    with_warden(tmp_path, scenario)


def test_a_job_that_takes_too_long_is_killed(tmp_path: Path) -> None:
    async def scenario(warden: WardenClient) -> None:
        ended = await shell(warden, "exec sleep 1000", timeout_s=0.2)
        assert (ended.timed_out, ended.signal) == (True, signal.SIGKILL)

    with_warden(tmp_path, scenario)


def test_nothing_of_a_cancelled_job_is_left_when_it_is_told(tmp_path: Path) -> None:
    async def scenario(warden: WardenClient) -> None:
        job_dir = warden.new_dir()
        job = asyncio.create_task(
            warden.run([SHELL, "-c", "echo $$ >pid; exec sleep 1000"], job_dir, [], timeout_s=1000)
        )
        pid = await pid_in(Path(job_dir.work, "pid"))
        job.cancel()
        with pytest.raises(asyncio.CancelledError):
            await job
        assert not lives(pid)

    with_warden(tmp_path, scenario)


def test_a_program_that_cannot_be_started_is_the_server_s_fault(tmp_path: Path) -> None:
    async def scenario(warden: WardenClient) -> None:
        with pytest.raises(CallRefused, match="cannot start /nonexistent/gcc"):
            await warden.run(["/nonexistent/gcc"], warden.new_dir(), [], 30)

    with_warden(tmp_path, scenario)


def test_nobody_waits_for_a_warden_that_has_ended(tmp_path: Path) -> None:
    async def scenario(warden: WardenClient) -> None:
        job_dir = warden.new_dir()
        job = asyncio.create_task(warden.run([SHELL, "-c", "echo $$ >pid; exec sleep 20"], job_dir, [], 1000))
        await pid_in(Path(job_dir.work, "pid"))
        warden.process.kill()
        with pytest.raises(CallRefused, match="has ended"):
            await job
        assert warden.lost.is_set()
        with pytest.raises(CallRefused, match="has ended"):
            await shell(warden, "true")

    with_warden(tmp_path, scenario)


def test_the_end_of_the_server_removes_the_jobs_directory(tmp_path: Path) -> None:
    async def scenario(warden: WardenClient) -> None:
        warden.new_dir()
        assert list(tmp_path.iterdir())

    with_warden(tmp_path, scenario)
    assert list(tmp_path.iterdir()) == []


def test_a_wait_that_is_cancelled_goes_on_and_then_tells() -> None:
    async def scenario() -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = asyncio.create_task(settle(future))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not waiting.done()
        future.set_result(None)
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(scenario())


def test_only_a_plain_file_of_the_job_is_read(tmp_path: Path) -> None:
    job_dir = JobDir(str(tmp_path / "job"))
    secret = tmp_path / "secret"
    secret.write_text("secret")
    Path(job_dir.work, "link").symlink_to(secret)
    os.mkfifo(os.path.join(job_dir.work, "pipe"))
    Path(job_dir.work, "o").write_text("object")
    for name in ("w/link", "w/pipe", "w", "w/none"):
        with pytest.raises(OSError):  # noqa: PT011  (ELOOP, EINVAL, ENOENT)
            job_dir.open(name).close()
    with job_dir.open("w/o") as file:
        assert file.read() == b"object"
    assert job_dir.size("w/none") == 0


@pytest.mark.skipif(not os.access("/dev/shm", os.W_OK), reason="no /dev/shm")
@pytest.mark.parametrize(("free_mib", "shared"), [(64, False), (600, True)])
def test_a_small_shared_memory_is_passed_over(monkeypatch: pytest.MonkeyPatch, free_mib: int, shared: bool) -> None:
    space = SimpleNamespace(f_bavail=free_mib * 256, f_frsize=4096)
    monkeypatch.setattr(os, "statvfs", lambda _: space)
    assert (choose_parent(None) == "/dev/shm") == shared
    assert choose_parent("/configured") == "/configured"


def test_another_user_cannot_look_into_a_job(tmp_path: Path) -> None:
    assert os.stat(JobDir(str(tmp_path / "job")).path).st_mode & 0o077 == 0
