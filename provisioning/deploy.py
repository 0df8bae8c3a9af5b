"""deploy: a worker container from images/ instead of packages. The image is sent over ssh, without a registry."""

from __future__ import annotations

import dataclasses
import hashlib
import shlex
import subprocess
from collections.abc import Iterator, Sequence

from distcc_common.errors import ConfigurationError
from provisioning import service
from provisioning.daemon_kinds import DISTCCD, DaemonKind
from provisioning.host_errors import HostError
from provisioning.host_settings import HostSettings
from provisioning.provision import allowed_networks, check_ports_free, known_as
from provisioning.record import Record
from provisioning.steps import Host

CONTAINER = "distcc-worker"
SSH_PORT = 2222
SSH_USER = "distcc"

_CHUNK_BYTES = 1 << 20
_LOAD_S = 1800
_READY_S = 60
_LABEL = "distcc-auto.arguments"


def local_image_id(image: str) -> str:
    """The id of `image` in this machine's engine. Raises ConfigurationError."""
    try:
        command = ["docker", "image", "inspect", "--format", "{{.Id}}", image]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise ConfigurationError(
            "deploy sends an image from this machine's Docker engine, and this machine has no docker command"
        ) from None
    if done.returncode != 0:
        how = f"images/build.py{' --distplusplusd' * ('distplusplusd' in image)}"
        raise ConfigurationError(f"this machine has no image {image} ({how} builds it): {done.stderr.strip()}")
    return done.stdout.strip()


def deploy(
    host: Host, settings: HostSettings, kind: DaemonKind, ports: tuple[int, ...], image: str, image_id: str
) -> None:
    """Runs `image` on the host as a worker. Raises HostError."""
    client = host.remote.open()
    known = known_as(host, kind, in_container=True)
    known = dataclasses.replace(known, daemon=kind.name, ports=ports)
    if not host.ask("engine", f"engine={service.ENGINE} && $engine version").ok:
        raise HostError("it has no working docker or podman (apt-get install docker.io, dnf install podman)")
    if not host.ask("image", f"{service.ENGINE} image inspect {shlex.quote(image_id)}").ok:
        host.changes.append(f"image {image}")
        if host.dry_run:
            host.say(f"would change: image {image} sent over ssh")
        else:
            # The record comes first: an image that arrived without it would stay after `remove`.
            known = dataclasses.replace(known, images=(*known.images, image_id))
            host.save(known)
            load = f"exec {service.ENGINE} load"
            sent_bytes = host.remote.feed(f"image {image}", load, _saved(image), _LOAD_S)
            host.say(f"changed: image {image} sent over ssh ({sent_bytes / 1e6:.0f} MB)")
    arguments = _arguments(settings, kind, ports, allowed_networks(settings.allow, client))
    _ensure_container(host, known, arguments, image_id)


def compilers_there(host: Host) -> list[str]:
    """The names of the compilers that the daemon in the container can run."""
    return host.remote.run("compilers", f"{service.ENGINE} exec {CONTAINER} ls /usr/lib/distcc").words


def _arguments(settings: HostSettings, kind: DaemonKind, ports: Sequence[int], allow: Sequence[str]) -> list[str]:
    """Options of docker-run(1): only what the image needs."""
    if kind is DISTCCD:
        variables = {"DISTCC_WORKER_ALLOW": " ".join(allow) or "loopback"}
        more = ["--stop-timeout", "12", "--volume", f"{CONTAINER}:/var/lib/distcc-worker"]
    else:
        variables = {"DISTPLUSPLUS_LISTEN_ADDRESS": "0.0.0.0:3634", "DISTPLUSPLUS_ALLOW": ",".join(allow)}
        more = ["--stop-timeout", str(kind.stop_s), "--shm-size", "1g"]
    if settings.jobs:
        variables["DISTCC_WORKER_JOBS" if kind is DISTCCD else "DISTPLUSPLUS_JOBS"] = str(settings.jobs)
    inside = kind.usual_ports
    published = [f"{port}:{usual}" for port, usual in zip(ports, inside, strict=True)] if allow else []
    if settings.tunnel_keys:
        variables["DISTCC_WORKER_SSH_KEYS"] = "\n".join(settings.tunnel_keys)
        published.append(f"{SSH_PORT}:2222")
    return [
        *(
            "--read-only",
            "--tmpfs",
            "/tmp",  # noqa: S108
            "--cap-drop",
            "ALL",
            "--security-opt",
            "no-new-privileges",
        ),
        *("--restart", "unless-stopped", *more),
        *(word for port in published for word in ("--publish", port)),
        *(word for name, value in variables.items() for word in ("--env", f"{name}={value}")),
    ]


def _ensure_container(host: Host, known: Record, arguments: list[str], image_id: str) -> None:
    digest = hashlib.sha256("\0".join([*arguments, image_id]).encode()).hexdigest()[:16]
    state = f'{{{{index .Config.Labels "{_LABEL}"}}}} {{{{.State.Running}}}}'
    check = f"[ \"$({service.ENGINE} inspect --format '{state}' {CONTAINER} 2>/dev/null)\" = '{digest} true' ]"
    if host.ask("container", check).ok:
        return
    if known.container is None:
        if host.ask("container", f"{service.ENGINE} inspect {CONTAINER}").ok:
            raise HostError(f"it has a container {CONTAINER} that `fab deploy` did not make")
        check_ports_free(host, known.ports)
    host.save(dataclasses.replace(known, container=CONTAINER))
    run = shlex.join([*arguments, "--label", f"{_LABEL}={digest}", "--name", CONTAINER, image_id])
    script = f"""
{service.ENGINE} rm -f {CONTAINER} >/dev/null 2>&1
{service.ENGINE} run --detach {run} || exit 1
deadline=$(($(date +%s) + {_READY_S}))
while [ $(date +%s) -lt $deadline ]; do
    if {service.ENGINE} exec {CONTAINER} {known.kind.health} >/dev/null 2>&1; then exit 0; fi
    sleep 0.5
done
{service.ENGINE} logs --tail 8 {CONTAINER}
exit 1"""
    host.change(f"container {CONTAINER}", script, _READY_S + 120)


def _saved(image: str) -> Iterator[bytes]:
    """The output of `docker save` in pieces. Raises HostError when it fails."""
    with subprocess.Popen(["docker", "save", image], stdout=subprocess.PIPE) as save:
        assert save.stdout  # noqa: S101  (PIPE was asked for)
        try:
            while chunk := save.stdout.read(_CHUNK_BYTES):
                yield chunk
        finally:
            save.terminate()  # has no effect once everything was read
        if save.wait() != 0:
            raise HostError(f"image {image}: docker save failed on this machine")
