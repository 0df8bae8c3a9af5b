"""The console script before the server's packages are loaded."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("missing", ["grpc", "google", "zstandard", "prometheus_client"])
def test_without_the_extra_it_says_what_to_install(missing: str) -> None:
    code = (
        f"import sys; sys.modules[{missing!r}] = None; sys.argv[1:] = ['--version']\n"
        "from distplusplus.server.__main__ import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 96
    assert "pip install 'distcc-auto[distplusplus]'" in done.stderr
    assert missing in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 1
