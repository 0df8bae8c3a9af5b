"""Writing an object, with a launcher that is ended while it does."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.launcher.stand_in import Packet, StandIn, exit_with, standing_in
from tests.launcher_builds import build

# Calls of the C library that do, at the worst moment, what a user or the kernel may do.
_SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int at(const char *moment)
{
    const char *chosen = getenv("SHIM");
    return chosen && strstr(chosen, moment);
}

static void end(void)
{
    raise(atoi(getenv("SHIM_SIGNAL")));
}

int open(const char *path, int flags, ...)
{
    va_list list;
    va_start(list, flags);
    int mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(list, int) : 0;
    va_end(list);
    if ((flags & O_TMPFILE) == O_TMPFILE && at("no-tmpfile")) {
        errno = EOPNOTSUPP;
        return -1;
    }
    int (*real)(const char *, int, ...) = dlsym(RTLD_NEXT, "open");
    int fd = real(path, flags, mode);
    if (flags & O_EXCL && at("opened"))
        end();
    return fd;
}

int snprintf(char *into, size_t size, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    int length = vsnprintf(into, size, format, list);
    va_end(list);
    if (strstr(format, ".tmp") && at("named") && length < (int)size) {
        char whole[8192];
        strcpy(whole, into);
        into[strlen(into) - strlen(strrchr(into, '.')) - 1] = 0; /* a.o.12345.tmp: a part of it */
        *strstr(into, ".o.") = 0;
        strcat(into, ".o");
        end();
        strcpy(into, whole);
    }
    return length;
}

ssize_t write(int fd, const void *data, size_t size)
{
    ssize_t (*real)(int, const void *, size_t) = dlsym(RTLD_NEXT, "write");
    ssize_t written = real(fd, data, at("written") && size > 1 ? size / 2 : size);
    if (fd > 2 && at("written"))
        end();
    return written;
}

int linkat(int from, const char *old, int to, const char *new, int flags)
{
    if (at("link")) {
        end();
        if (at("no-link")) {
            errno = ENOENT; /* no /proc */
            return -1;
        }
    }
    int (*real)(int, const char *, int, const char *, int) = dlsym(RTLD_NEXT, "linkat");
    return real(from, old, to, new, flags);
}
"""


@pytest.fixture(scope="session")
def launcher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A launcher whose C library can be overridden."""
    return build(tmp_path_factory.mktemp("launcher") / "distplusplus", "-O1", "-fno-builtin")


@pytest.fixture(scope="session")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("shim")
    (directory / "shim.c").write_text(_SHIM)
    library = directory / "shim.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, directory / "shim.c", "-ldl"], check=True)
    return library


@pytest.fixture
def writer(launcher: Path, tmp_path: Path) -> Iterator[StandIn]:
    """An agent that sends an object."""
    runtime = tmp_path / "runtime"
    runtime.mkdir(mode=0o700)
    with standing_in(launcher, runtime) as stand_in:
        stand_in.script = [Packet(b"Fa.o", (b"the new object",)), exit_with(0)]
        yield stand_in


def ended(launcher: Path, writer: StandIn, work: Path, shim: Path, moment: str, number: int) -> int:
    """The status of a launcher that gets the signal at that moment of its writing."""
    environ = {
        "PATH": "/usr/bin:/bin",
        "DISTPLUSPLUS_RUNTIME_DIR": str(writer.runtime),
        "LD_PRELOAD": str(shim),
        "SHIM": moment,
        "SHIM_SIGNAL": str(number),
    }
    command = [str(launcher), "gcc", "-c", "a.c"]
    return subprocess.run(command, cwd=work, env=environ, check=False, timeout=30, capture_output=True).returncode


@pytest.mark.parametrize("old", [None, "an older object"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("moment", ["written", "link"])
def test_an_ended_launcher_leaves_no_file(
    launcher: Path, writer: StandIn, work: Path, shim: Path, moment: str, number: int, old: str | None
) -> None:
    if old:
        (work / "a.o").write_text(old)
    assert ended(launcher, writer, work, shim, moment, number) == -number
    assert {path.name: path.read_text() for path in work.iterdir() if path.name != "a.c"} == (
        {"a.o": old} if old else {}
    )


@pytest.mark.parametrize("moment", ["no-tmpfile,named", "no-tmpfile,opened", "no-tmpfile,written"])
def test_a_signal_never_meets_half_a_name(launcher: Path, writer: StandIn, work: Path, shim: Path, moment: str) -> None:
    """On a file system without unnamed files, where the signal handler removes the temporary one."""
    (work / "a.o").write_text("an older object")
    assert ended(launcher, writer, work, shim, moment, signal.SIGTERM) == -signal.SIGTERM
    assert {path.name for path in work.iterdir()} == {"a.c", "a.o"}
    assert (work / "a.o").read_text() == "an older object"


@pytest.mark.parametrize("moment", ["", "no-tmpfile"])
@pytest.mark.parametrize("old", [None, "an older object"])
def test_an_object_is_written_whole(
    launcher: Path, writer: StandIn, work: Path, shim: Path, moment: str, old: str | None
) -> None:
    if old:
        (work / "a.o").write_text(old)
    with open(work / "a.o", "rb") if old else open(os.devnull, "rb") as reader:
        assert ended(launcher, writer, work, shim, moment, 0) == 0
        assert reader.read().decode() == (old or "")  # who has it open goes on reading it
    assert {path.name for path in work.iterdir()} == {"a.c", "a.o"}
    assert (work / "a.o").read_text() == "the new object"
