"""CPUs and memory that this process may really use: affinity, cgroup v1 and cgroup v2.

A container or a batch system limits a process through its control groups, which `os.cpu_count()` and
/proc/meminfo do not show. Files and formats: Linux Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/.
Every function takes `root`, a directory that stands for `/`, so that tests can lay out any machine.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_MIB = 1024 * 1024


@dataclass(frozen=True)
class CpuLimit:
    """How many CPUs may be used, and what set that number."""

    cpus: int
    reason: str


@dataclass(frozen=True)
class MemoryLimit:
    """How much memory can still be taken before something is killed or swapped, and what set that number."""

    available_mib: int
    reason: str


@dataclass(frozen=True)
class _CgroupDir:
    version: int
    path: str


def cpus(root: str = "/", affinity: Callable[[], int] | None = None) -> CpuLimit:
    """CPUs this process may use: the smaller of its affinity mask and its cgroup quota, at least 1.

    A quota of one and a half CPUs counts as two: one job would leave a third of it idle.
    """
    count = affinity() if affinity else len(os.sched_getaffinity(0))
    best = CpuLimit(max(count, 1), "CPU affinity")
    for group in _cgroups(root, "cpu"):
        quota = _quota_cpus(group)
        if quota is not None and (limited := max(math.ceil(quota), 1)) < best.cpus:
            best = CpuLimit(limited, f"cgroup v{group.version} CPU quota {quota:g}")
    return best


def memory(root: str = "/") -> MemoryLimit:
    """Memory this process can still take: MemAvailable, or what its cgroup's limit leaves if that is less."""
    best = MemoryLimit(_meminfo_available_mib(root), "MemAvailable")
    for group in _cgroups(root, "memory"):
        free = _cgroup_free_bytes(group)
        if free is not None and free // _MIB < best.available_mib:
            best = MemoryLimit(free // _MIB, f"cgroup v{group.version} memory limit")
    return best


def memory_limit_mib(root: str = "/") -> int | None:
    """The smallest memory limit of this process's cgroups in MiB, None where there is none."""
    limits = [_memory_limit_bytes(group) for group in _cgroups(root, "memory")]
    known = [limit for limit in limits if limit is not None]
    return min(known) // _MIB if known else None


def _meminfo_available_mib(root: str) -> int:
    text = _read(os.path.join(root, "proc/meminfo")) or ""
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            return int(value.split()[0]) // 1024
    return 0


def _cgroups(root: str, controller: str) -> Iterator[_CgroupDir]:
    """The directories of this process's groups for `controller`, from its own up to each mount's top."""
    membership = _membership(_read(os.path.join(root, "proc/self/cgroup")) or "")
    for version, mount_root, mount_point, controllers in _cgroup_mounts(root):
        if version == 1 and controller not in controllers:
            continue
        own = membership.get("" if version == 2 else controller)
        if own is None:
            continue
        # Without a cgroup namespace /proc names the host's path while the mount begins further down.
        relative = os.path.relpath(own, mount_root) if _is_below(own, mount_root) else "."
        top = os.path.join(root, mount_point.lstrip("/"))
        path = os.path.normpath(os.path.join(top, relative))
        while _is_below(path, top):
            if os.path.isdir(path):
                yield _CgroupDir(version, path)
            path = os.path.dirname(path)


def _membership(text: str) -> dict[str, str]:
    """Controller -> path, from /proc/self/cgroup; the unified hierarchy's controller is ''."""
    groups: dict[str, str] = {}
    for line in text.splitlines():
        _, _, rest = line.partition(":")
        controllers, separator, path = rest.partition(":")
        if separator:
            groups.update(dict.fromkeys(controllers.split(","), path))
    return groups


def _cgroup_mounts(root: str) -> Iterator[tuple[int, str, str, list[str]]]:
    """(version, root within the hierarchy, mount point, controllers) of each cgroup mount."""
    for line in (_read(os.path.join(root, "proc/self/mountinfo")) or "").splitlines():
        left, _, right = line.partition(" - ")
        fields, details = left.split(), right.split()
        if len(fields) < 5 or len(details) < 3 or details[0] not in ("cgroup", "cgroup2"):
            continue
        version = 2 if details[0] == "cgroup2" else 1
        yield version, fields[3], fields[4], details[2].split(",")


def _is_below(path: str, top: str) -> bool:
    return path == top or path.startswith(top.rstrip("/") + "/")


def _quota_cpus(group: _CgroupDir) -> float | None:
    if group.version == 2:
        quota_us, _, period_us = (_read(os.path.join(group.path, "cpu.max")) or "max").partition(" ")
    else:
        quota_us = _read(os.path.join(group.path, "cpu.cfs_quota_us")) or "-1"
        period_us = _read(os.path.join(group.path, "cpu.cfs_period_us")) or "0"
    quota, period = _number(quota_us), _number(period_us)
    return quota / period if quota and period else None


def _memory_limit_bytes(group: _CgroupDir) -> int | None:
    if group.version == 2:
        limits = [_number(_read(os.path.join(group.path, name))) for name in ("memory.max", "memory.high")]
    else:
        limits = [_number(_read(os.path.join(group.path, "memory.limit_in_bytes")))]
    # cgroup v1 writes "no limit" as the largest multiple of a page below 2**63.
    known = [limit for limit in limits if limit is not None and limit < 1 << 62]
    return min(known, default=None)


def _cgroup_free_bytes(group: _CgroupDir) -> int | None:
    limit = _memory_limit_bytes(group)
    if limit is None:
        return None
    if group.version == 2:
        usage_file, inactive_key = "memory.current", "inactive_file"
    else:
        usage_file, inactive_key = "memory.usage_in_bytes", "total_inactive_file"
    used = _number(_read(os.path.join(group.path, usage_file))) or 0
    # The kernel drops inactive page cache before it refuses memory.
    for line in (_read(os.path.join(group.path, "memory.stat")) or "").splitlines():
        key, _, value = line.partition(" ")
        if key == inactive_key:
            used -= _number(value) or 0
    return max(limit - max(used, 0), 0)


def _number(text: str | None) -> int | None:
    """A non-negative decimal number, None for anything else ('max', '-1', an unreadable file)."""
    text = (text or "").strip()
    return int(text) if text.isascii() and text.isdigit() else None


def _read(path: str) -> str | None:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return None
