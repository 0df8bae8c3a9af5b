"""Where the socket of an ssh process is."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from distcc_auto.reach.ssh import ssh_process

# unix(7), and the suffix of the name under which ssh makes it ("." and 16 characters).
_MAX_PATH, _SUFFIX = 107, 17


@pytest.mark.parametrize("length", range(60, 90))
def test_the_socket_s_path_is_never_too_long(length: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        parent = Path(name, "x" * (length - len(name) - 1))
        parent.mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(parent))
        directory = ssh_process._make_directory()
        try:
            assert len(os.path.join(directory, "s")) + _SUFFIX <= _MAX_PATH
            assert (os.path.dirname(directory) == str(parent)) == (length <= 67)
        finally:
            Path(directory).rmdir()
