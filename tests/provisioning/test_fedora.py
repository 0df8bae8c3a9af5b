"""The command lines for Fedora's family, with the real dnf, rpm and firewalld on a stand-in for Fedora (Dockerfile)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.provisioning.bare_host import BareHost, build_image, wait_for

pytestmark = pytest.mark.timeout(400)

PROVISION = ("provision", "worker-2", "--allow", "this-machine")


@pytest.fixture(scope="module")
def fedora(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BareHost]:
    host = BareHost("worker-2", build_image("fedora"), tmp_path_factory.mktemp("worker-2"))
    try:
        host.trust()
        host.run("dnf -q makecache")
        wait_for("firewalld runs", lambda: host.run("firewall-cmd --state 2>&1", check=False).strip() == "running")
        yield host
    finally:
        host.remove()


def test_from_a_bare_host_to_a_worker_and_back(fedora: BareHost) -> None:
    packages, files = fedora.packages(), fedora.files()
    output = fedora.fab(*PROVISION)
    assert "changed: packages: distcc-server distcc gcc gcc-c++" in output
    assert "changed: firewall open: firewalld 172.17.0.1/32 3632" in output
    assert f"proved: compiled through tcp://{fedora.address}" in output
    assert 'port port="3633"' in fedora.run(
        "firewall-cmd --list-rich-rules; firewall-cmd --permanent --list-rich-rules"
    )
    assert "worker-2: unchanged" in fedora.fab(*PROVISION)
    assert "worker-2: unchanged" in fedora.fab("upgrade", "worker-2")
    refused = fedora.fab(*PROVISION, "--compiler", "gcc-12", expect=1)
    assert "the archives of fedora have one version of gcc" in refused
    fedora.fab("remove", "worker-2")
    assert fedora.packages() == packages
    assert fedora.files() == files
    assert fedora.run("firewall-cmd --list-rich-rules; firewall-cmd --permanent --list-rich-rules").strip() == ""
