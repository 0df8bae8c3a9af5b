"""Builds of the launcher for tests: with sanitizers, or with parts of the system missing."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import types
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

from distcc_common import __version__

ROOT = Path(__file__).parent.parent
SANITIZERS = (
    *("-Werror", "-O1", "-g", "-fno-omit-frame-pointer"),
    *("-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
)
SANITIZER_STATUS = 86
SANITIZER_ENVIRON = {
    "ASAN_OPTIONS": f"exitcode={SANITIZER_STATUS}:abort_on_error=0",
    "UBSAN_OPTIONS": f"exitcode={SANITIZER_STATUS}:print_stacktrace=1",
}


@cache
def hook() -> Any:
    """The build hook's module. hatchling is only there while a wheel is built, so its one class is replaced."""
    interface = types.ModuleType("hatchling.builders.hooks.plugin.interface")
    interface.BuildHookInterface = object  # type: ignore[attr-defined]
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "driver" / "launcher" / "hatch_build.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    with mock.patch.dict(sys.modules, {interface.__name__: interface}):
        spec.loader.exec_module(module)
    return module


def build(program: Path, *options: str, compiler: str = "cc") -> Path:
    """Builds the launcher as the hook does, with more options. It fails with the compiler's messages."""
    command = [*hook().command(compiler, str(ROOT), __version__, str(program)), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return program
