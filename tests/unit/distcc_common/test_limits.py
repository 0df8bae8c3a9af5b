"""CPUs and memory of machines that are laid out as files."""

from __future__ import annotations

from pathlib import Path

import pytest

from distcc_common import limits

MEMINFO = "MemTotal:       16000000 kB\nMemFree:         1000000 kB\nMemAvailable:    8388608 kB\n"
V2_MOUNT = "30 20 0:26 {root} /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw\n"
V1_MOUNTS = (
    "31 20 0:27 {root} /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
    "32 20 0:28 {root} /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
)


class Machine:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.write("proc/meminfo", MEMINFO)

    def write(self, path: str, text: str) -> None:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def v2(self, own: str = "/", mount_root: str = "/") -> None:
        self.write("proc/self/cgroup", f"0::{own}\n")
        self.write("proc/self/mountinfo", V2_MOUNT.format(root=mount_root))

    def v1(self, own: str = "/", mount_root: str = "/") -> None:
        self.write("proc/self/cgroup", f"3:cpu,cpuacct:{own}\n2:memory:{own}\n1:name=systemd:/\n0::/\n")
        self.write("proc/self/mountinfo", V1_MOUNTS.format(root=mount_root))

    def cpus(self, affinity: int = 8) -> tuple[int, str]:
        found = limits.cpus(str(self.root), lambda: affinity)
        return found.cpus, found.reason

    def memory(self) -> tuple[int, str]:
        found = limits.memory(str(self.root))
        return found.available_mib, found.reason


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_no_control_groups(machine: Machine) -> None:
    assert machine.cpus(3) == (3, "CPU affinity")
    assert machine.memory() == (8192, "MemAvailable")
    assert limits.memory_limit_mib(str(machine.root)) is None


def test_nothing_can_be_read(tmp_path: Path) -> None:
    assert limits.cpus(str(tmp_path), lambda: 0).cpus == 1
    assert limits.memory(str(tmp_path)).available_mib == 0


@pytest.mark.parametrize(
    ("cpu_max", "cpus"),
    [("200000 100000", 2), ("150000 100000", 2), ("50000 100000", 1), ("1000 100000", 1), ("10000 1000", 8)],
)
def test_v2_quota(machine: Machine, cpu_max: str, cpus: int) -> None:
    machine.v2()
    machine.write("sys/fs/cgroup/cpu.max", cpu_max + "\n")
    assert machine.cpus()[0] == cpus


def test_v2_without_quota(machine: Machine) -> None:
    machine.v2()
    machine.write("sys/fs/cgroup/cpu.max", "max 100000\n")
    machine.write("sys/fs/cgroup/memory.max", "max\n")
    assert machine.cpus() == (8, "CPU affinity")
    assert machine.memory() == (8192, "MemAvailable")


def test_v2_the_tightest_of_nested_groups_counts(machine: Machine) -> None:
    machine.v2("/system.slice/server.service")
    machine.write("sys/fs/cgroup/system.slice/cpu.max", "100000 100000\n")
    machine.write("sys/fs/cgroup/system.slice/memory.max", str(512 << 20))
    machine.write("sys/fs/cgroup/system.slice/memory.current", str(112 << 20))
    machine.write("sys/fs/cgroup/system.slice/server.service/cpu.max", "400000 100000\n")
    machine.write("sys/fs/cgroup/system.slice/server.service/memory.max", str(2048 << 20))
    assert machine.cpus() == (1, "cgroup v2 CPU quota 1")
    assert machine.memory() == (400, "cgroup v2 memory limit")
    assert limits.memory_limit_mib(str(machine.root)) == 512


def test_v2_in_a_namespace_sees_its_group_as_the_top(machine: Machine) -> None:
    machine.v2("/", mount_root="/")
    machine.write("sys/fs/cgroup/cpu.max", "300000 100000\n")
    assert machine.cpus() == (3, "cgroup v2 CPU quota 3")


@pytest.mark.parametrize("version", [1, 2])
def test_without_a_namespace_the_path_is_the_hosts(machine: Machine, version: int) -> None:
    """/proc/self/cgroup says /docker/1234, and that is what is mounted at /sys/fs/cgroup."""
    (machine.v1 if version == 1 else machine.v2)("/docker/1234", mount_root="/docker/1234")
    if version == 1:
        machine.write("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "150000\n")
        machine.write("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n")
    else:
        machine.write("sys/fs/cgroup/cpu.max", "150000 100000\n")
    assert machine.cpus() == (2, f"cgroup v{version} CPU quota 1.5")


def test_v1_quota_and_memory(machine: Machine) -> None:
    machine.v1("/batch/job")
    machine.write("sys/fs/cgroup/cpu,cpuacct/batch/job/cpu.cfs_quota_us", "200000\n")
    machine.write("sys/fs/cgroup/cpu,cpuacct/batch/job/cpu.cfs_period_us", "100000\n")
    machine.write("sys/fs/cgroup/memory/batch/job/memory.limit_in_bytes", str(1024 << 20))
    machine.write("sys/fs/cgroup/memory/batch/job/memory.usage_in_bytes", str(600 << 20))
    machine.write("sys/fs/cgroup/memory/batch/job/memory.stat", f"cache 1\ntotal_inactive_file {100 << 20}\n")
    assert machine.cpus() == (2, "cgroup v1 CPU quota 2")
    assert machine.memory() == (524, "cgroup v1 memory limit")


def test_v1_without_limits(machine: Machine) -> None:
    machine.v1()
    machine.write("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n")
    machine.write("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n")
    machine.write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n")
    assert machine.cpus() == (8, "CPU affinity")
    assert machine.memory() == (8192, "MemAvailable")
    assert limits.memory_limit_mib(str(machine.root)) is None


def test_a_full_group_has_nothing_left(machine: Machine) -> None:
    machine.v2()
    machine.write("sys/fs/cgroup/memory.max", str(100 << 20))
    machine.write("sys/fs/cgroup/memory.current", str(120 << 20))
    assert machine.memory()[0] == 0


def test_inactive_page_cache_counts_as_free(machine: Machine) -> None:
    machine.v2()
    machine.write("sys/fs/cgroup/memory.max", str(1000 << 20))
    machine.write("sys/fs/cgroup/memory.current", str(900 << 20))
    machine.write("sys/fs/cgroup/memory.stat", f"anon 5\ninactive_file {700 << 20}\nactive_file 9\n")
    assert machine.memory()[0] == 800


def test_memory_high_throttles_before_max(machine: Machine) -> None:
    machine.v2()
    machine.write("sys/fs/cgroup/memory.max", str(1000 << 20))
    machine.write("sys/fs/cgroup/memory.high", str(300 << 20))
    assert machine.memory()[0] == 300


def test_the_machine_that_runs_this() -> None:
    assert limits.cpus().cpus >= 1
    assert limits.memory().available_mib > 0
