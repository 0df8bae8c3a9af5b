"""Compiles the launcher (launcher.c) with this machine's C compiler and puts it among the wheel's programs."""

from __future__ import annotations

import os
import subprocess
import sysconfig
import tempfile
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class LauncherBuildHook(BuildHookInterface):  # type: ignore[type-arg]  # hatchling's is generic over its own configuration
    """For wheels, editable ones too: one executable, no Python extension."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002  (the interface)
        source = os.path.join(self.root, "driver", "launcher", "launcher.c")
        self._directory = tempfile.TemporaryDirectory(prefix="distcc-auto-launcher-")
        program = os.path.join(self._directory.name, "distplusplus")
        command = [os.environ.get("CC", "cc"), "-std=gnu11", "-O2", "-Wall", "-Wextra"]
        command += [f'-DVERSION="{self.metadata.version}"', "-o", program, source]
        try:
            # Static, it starts in half the time, but not every system has libc.a.
            if subprocess.run([*command, "-static"], check=False, capture_output=True).returncode:
                subprocess.run(command, check=True)
        except FileNotFoundError:
            # A server needs no launcher, and may be a machine without a compiler in PATH.
            self.app.display_warning(f"{command[0]}: no C compiler, so this is without the program 'distplusplus'")
            return
        build_data["shared_scripts"][program] = "distplusplus"
        build_data["pure_python"] = False
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["tag"] = f"py3-none-{platform}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        self._directory.cleanup()
