"""Compiles the launcher (the C files beside this one) with this machine's C compiler, as a program of the wheel."""

from __future__ import annotations

import glob
import os
import subprocess
import sysconfig
import tempfile
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

OPTIONS = ("-std=gnu11", "-Wall", "-Wextra")


def command(compiler: str, root: str, version: str, program: str) -> list[str]:
    """One call of the C compiler that makes `program` of all files. `root`: the repository."""
    sources = sorted(glob.glob(os.path.join(root, "driver", "launcher", "*.c")))
    return [compiler, *OPTIONS, f'-DVERSION="{version}"', "-o", program, *sources]


class LauncherBuildHook(BuildHookInterface):  # type: ignore[type-arg]  # hatchling's is generic over its own configuration
    """For wheels, editable ones too: one executable, no Python extension. Without it the rest still installs."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002  (the interface)
        self._directory = tempfile.TemporaryDirectory(prefix="distcc-auto-launcher-")
        program = os.path.join(self._directory.name, "distplusplus")
        call = [*command(os.environ.get("CC", "cc"), self.root, self.metadata.version, program), "-O2"]
        if failure := _compile(call):
            # The driver and a server need no launcher, and may be on a machine without a C compiler.
            self.app.display_warning(f"the program 'distplusplus' is left out: {failure}")
            return
        build_data["shared_scripts"][program] = "distplusplus"
        build_data["pure_python"] = False
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["tag"] = f"py3-none-{platform}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        self._directory.cleanup()


def _compile(call: list[str]) -> str | None:
    """What went wrong; None for success."""
    try:
        # A static program starts in half the time, but not every system has libc.a.
        if not subprocess.run([*call, "-static"], check=False, capture_output=True).returncode:
            return None
        done = subprocess.run(call, check=False, capture_output=True, encoding="utf-8", errors="replace")
    except OSError as error:
        return f"cannot run the C compiler {call[0]}: {error.strerror}"
    if done.returncode:
        return f"{call[0]} ended with status {done.returncode}\n{done.stderr}".rstrip()
    return None
