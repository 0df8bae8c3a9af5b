"""The worker image instead of packages. The host's engine is this machine's, with a client that lost the image."""

from __future__ import annotations

import contextlib
import functools
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioning.daemon_kinds import DISTCCD, DISTPLUSPLUSD, KINDS
from provisioning.deploy import CONTAINER
from tests.provisioning.bare_host import PASSWORD, ROOT, BareHost, docker

pytestmark = pytest.mark.timeout(400)

# Passes everything on to the engine of this machine, and knows no image before it was loaded.
CLIENT = """#!/bin/sh
if [ "$1 $2" = "image inspect" ] && [ ! -e /run/loaded ]; then exit 1; fi
export DOCKER_HOST=unix:///engine.sock
if [ "$1" = rmi ]; then rm /run/loaded; exit; fi
if [ "$1" = load ]; then tee /run/image | /opt/docker load && mv /run/image /run/loaded; exit; fi
exec /opt/docker "$@"
"""


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in sockets]


@pytest.fixture
def with_engine(debian_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BareHost]:
    if not all(docker("image", "ls", "--quiet", kind.image).strip() for kind in KINDS.values()):
        subprocess.run([ROOT / "images" / "build.py", "--distplusplusd", "bookworm"], check=True, timeout=380)
    mounts = ("--volume", "/usr/bin/docker:/opt/docker:ro", "--volume", "/var/run/docker.sock:/engine.sock")
    host = BareHost("worker-3", debian_image, tmp_path_factory.mktemp("worker-3"), PASSWORD, mounts)
    try:
        host.trust()
        host.run("cat >/usr/local/bin/docker; chmod 755 /usr/local/bin/docker", text=CLIENT)
        yield host
    finally:
        docker("rm", "--force", CONTAINER, check=False)
        docker("volume", "rm", "--force", CONTAINER, check=False)
        host.remove()


def _inventory(directory: Path, entry: str) -> Path:
    path = directory / "inventory.toml"
    path.write_text(
        f'[hosts.worker-3]\nhost = "{entry}"\nssh = "worker-3"\nallow = ["172.16.0.0/12"]\n'
        '[groups]\nfarm = ["worker-3"]\n'
    )
    return path


def _fab(host: BareHost, inventory: Path, *words: str) -> str:
    asked = ("--prompt-for-sudo-password", *words, "--inventory", str(inventory), "--group", "farm")
    ran = host.fab_typing(PASSWORD, *asked)
    assert ran.status == 0, ran.output
    return ran.output


def test_the_image_goes_over_ssh_and_the_container_takes_jobs(with_engine: BareHost, tmp_path: Path) -> None:
    ports = _free_ports(2)
    entry = f"tcp://127.0.0.1:{ports[0]}:{ports[1]}"
    fab = functools.partial(_fab, with_engine, _inventory(tmp_path, entry))
    output = fab("deploy")
    assert f"changed: image {DISTCCD.image} sent over ssh" in output
    assert f"proved: compiled through {entry}" in output
    assert f'DISTCC_AUTO_HOSTS="{entry}"' in output
    # The image as it came is the image as it is here, and the password was no part of it.
    assert with_engine.run("tar -tf /run/loaded >/dev/null && echo whole").strip() == "whole"
    assert docker("inspect", "--format", "{{.State.Running}}", CONTAINER).strip() == "true"
    assert docker("exec", CONTAINER, "python3", "-m", "distcc_worker", "health") == ""
    assert "worker-3: unchanged" in fab("deploy")
    assert "container running" in fab("status")
    assert "changed: drained" in fab("drain")
    assert "container drained" in fab("status")
    assert "started" in fab("resume")
    fab("remove")
    assert with_engine.run("ls /run/loaded", check=False) == ""
    assert docker("ps", "--all", "--quiet", "--filter", f"name=^{CONTAINER}$") == ""
    assert with_engine.run("ls /etc/distcc-worker", check=False) == ""


def test_distplusplusd_is_deployed_and_takes_no_calls_from_others(with_engine: BareHost, tmp_path: Path) -> None:
    entry = f"grpc://127.0.0.1:{_free_ports(1)[0]}"
    fab = functools.partial(_fab, with_engine, _inventory(tmp_path, entry))
    output = fab("deploy")
    assert f"changed: image {DISTPLUSPLUSD.image} sent over ssh" in output
    assert f"proved: compiled through {entry}" in output
    assert "worker-3: unchanged" in fab("deploy")
    assert "distplusplusd 0." in fab("status")
    assert "changed: drained" in fab("drain")
    assert "container distcc-worker" in fab("deploy", "--allow", "192.0.2.0/24", "--no-proof")
    asked = subprocess.run(
        [sys.executable, "-m", "distcc_auto", "hosts"],
        env=os.environ | {"DISTCC_AUTO_HOSTS": entry},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "this server takes no calls from 172." in asked.stdout
    fab("remove")
    assert docker("ps", "--all", "--quiet", "--filter", f"name=^{CONTAINER}$") == ""
    assert with_engine.run("ls /etc/distcc-worker", check=False) == ""
