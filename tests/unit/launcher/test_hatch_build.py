"""The build hook of the launcher: a program, or a warning and an installation without it."""

from __future__ import annotations

import subprocess
from types import SimpleNamespace
from typing import Any

import pytest

from distcc_common import __version__
from tests.launcher_builds import ROOT, hook


class Built:
    """What the hook did, as hatchling would have called it."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.data: dict[str, Any] = {"shared_scripts": {}}
        self.hook = hook().LauncherBuildHook()
        self.hook.root = str(ROOT)
        self.hook.metadata = SimpleNamespace(version=__version__)
        self.hook.app = SimpleNamespace(display_warning=self.warnings.append)
        self.hook.initialize("editable", self.data)


@pytest.mark.parametrize(
    ("compiler", "said"),
    [
        ("false", "left out: false ended with status 1"),
        ("/no/such/cc", "left out: cannot run the C compiler /no/such/cc: No such file or directory"),
        ("/etc/passwd", "left out: cannot run the C compiler /etc/passwd: Permission denied"),
    ],
)
def test_without_a_working_compiler_the_rest_installs(
    monkeypatch: pytest.MonkeyPatch, compiler: str, said: str
) -> None:
    monkeypatch.setenv("CC", compiler)
    built = Built()
    assert built.data == {"shared_scripts": {}}
    (warning,) = built.warnings
    assert said in warning
    built.hook.finalize("editable", built.data, "")


def test_the_program_is_of_this_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CC", raising=False)
    built = Built()
    assert built.warnings == []
    ((program, name),) = built.data["shared_scripts"].items()
    assert name == "distplusplus"
    done = subprocess.run([program, "true"], env={"DISTPLUSPLUS_DEPTH": "6"}, capture_output=True, check=False)
    assert (done.returncode, b"started by itself 6 times over" in done.stderr) == (1, True)
    with open(program, "rb") as file:
        assert f"{__version__}\0".encode() in file.read()
    built.hook.finalize("editable", built.data, "")
