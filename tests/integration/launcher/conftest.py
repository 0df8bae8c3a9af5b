"""A launcher that was built with sanitizers, and a stand-in for its agent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.agent.conftest import alone, home, server  # noqa: F401  (fixtures)
from tests.integration.launcher.stand_in import StandIn, standing_in
from tests.launcher_builds import SANITIZERS, build


@pytest.fixture(scope="session")
def sanitized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The launcher under AddressSanitizer and UndefinedBehaviorSanitizer, built without a warning."""
    return build(tmp_path_factory.mktemp("sanitized") / "distplusplus", *SANITIZERS)


@pytest.fixture
def agent(sanitized: Path, tmp_path: Path) -> Iterator[StandIn]:
    """A stand-in for the agent of the sanitized launcher."""
    runtime = tmp_path / "runtime"
    runtime.mkdir(mode=0o700)
    with standing_in(sanitized, runtime) as stand_in:
        yield stand_in


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A directory with a source."""
    directory = tmp_path / "work"
    directory.mkdir()
    (directory / "a.c").write_text("#define X 5\n#warning shown\nint x = X;\n")
    return directory
