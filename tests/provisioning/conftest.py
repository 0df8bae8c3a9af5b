from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.provisioning.bare_host import PASSWORD, BareHost, build_image


@pytest.fixture(scope="session")
def debian_image() -> str:
    return build_image("debian")


@pytest.fixture(scope="module")
def bare(debian_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BareHost]:
    """A Debian host as it came from the installer, whose administrator's sudo asks for a password."""
    host = BareHost("worker-1", debian_image, tmp_path_factory.mktemp("worker-1"), PASSWORD)
    try:
        yield host
    finally:
        host.remove()
