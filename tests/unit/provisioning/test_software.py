"""distplusplusd for a host: which Python it may have, and what is sent."""

from __future__ import annotations

import importlib.metadata
import io
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from distcc_common.errors import ConfigurationError
from provisioning import render, software
from provisioning.host_errors import HostError
from provisioning.software import Python
from tests.unit.provisioning.fake_host import FakeRemote, host

PYTHON = Python("/usr/bin/python3", (3, 11), "x86_64", (2, 36))


def find(*lines: str) -> Python | None:
    one, _ = host(FakeRemote({"sys.executable": "\n".join(lines)}))
    return software.find_python(one)


def test_the_first_python_that_is_new_enough_is_taken() -> None:
    assert find() is None
    assert find("/usr/bin/python3 3.11 x86_64 glibc 2.36") == PYTHON
    newer = Python("/usr/bin/python3.12", (3, 12), "aarch64", (2, 34))
    assert find("/usr/bin/python3 3.9 aarch64 glibc 2.34", "/usr/bin/python3.12 3.12 aarch64 glibc 2.34") == newer


def test_one_that_is_too_old_is_refused_and_the_image_named() -> None:
    with pytest.raises(HostError, match=r"its Python is 3\.9, and distplusplusd needs 3\.11 or later.*fab deploy"):
        find("/usr/bin/python3 3.9 x86_64 glibc 2.34")


def test_the_question_is_understood_by_this_machine() -> None:
    done = subprocess.run(["sh", "-c", software._ASK_PYTHON], capture_output=True, text=True, check=True)
    assert find(*done.stdout.splitlines()) is not None


def test_wheels_for_older_systems_fit_and_those_for_newer_do_not() -> None:
    platforms = PYTHON.platforms()
    assert platforms[0] == "manylinux_2_36_x86_64"
    assert {"manylinux_2_17_x86_64", "manylinux2014_x86_64"} <= set(platforms)
    assert "manylinux_2_39_x86_64" not in platforms


def test_the_versions_that_work_here_are_sent() -> None:
    names = [requirement.partition("==") for requirement in software.requirements()]
    assert {"grpcio", "protobuf", "zstandard"} <= {name for name, _, version in names if re.match(r"\d+\.", version)}


def test_without_the_packages_here_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    with pytest.raises(
        ConfigurationError, match=r"not installed on this machine.*pip install -e '\.\[provision,distplusplus\]'"
    ):
        software.requirements()


def test_another_python_needs_another_version_and_the_same_does_not() -> None:
    text = software.version_text(PYTHON)
    assert software.version_text(Python("/opt/python", (3, 11), "x86_64", (2, 17))) == text
    assert software.version_text(Python("/usr/bin/python3", (3, 12), "x86_64", (2, 36))) != text


@pytest.mark.parametrize("module", ["distplusplus.server", "distcc_auto.distplusplus.server.main"])
def test_the_project_s_own_files_are_all_that_the_server_imports(
    module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(software, "_fetch", lambda _python, _directory: None)
    with tarfile.open(fileobj=io.BytesIO(software._make_archive.__wrapped__(PYTHON))) as archive:
        archive.extractall(tmp_path, filter="data")
        assert {entry.uid for entry in archive.getmembers()} == {0}
    assert (tmp_path / "version").read_text() == f"{software.version_text(PYTHON)}\n"
    # -S and the one path in front: the project as it is installed here is not found.
    script = (
        f"import runpy, sys; sys.path += [p for p in {sys.path!r} if p.endswith('-packages')]; "
        "sys.argv[1:] = ['--check', '--compiler-dir', '/nonexistent']; "
        f"runpy.run_module('{module}', run_name='__main__', alter_sys=True)"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", script],
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "listens on:" in done.stdout


def test_what_is_there_is_not_sent_again() -> None:
    remote = FakeRemote({render.SOFTWARE_FILE: 0})
    one, said = host(remote)
    software.ensure(one, PYTHON)
    assert (one.changes, said) == ([], [])
    dry, said = host(FakeRemote({render.SOFTWARE_FILE: 1}), dry_run=True)
    software.ensure(dry, PYTHON)
    assert [re.sub(r"[\d.]+ ", "", line, count=1) for line in said] == [
        "would change: distplusplusd for Python 3.11, sent over ssh"
    ]
