"""The TLS key of a grpcs:// worker is made on the host, for root alone, and never sent; its certificate is fetched."""

from __future__ import annotations

import ipaddress
import os
import shlex
from collections.abc import Mapping, Sequence

from provisioning import render
from provisioning.host_errors import HostError
from provisioning.steps import Host

_VALID_DAYS = 3650
_RENEW_S = 30 * 24 * 3600


def names(*hostnames: str) -> tuple[str, ...]:
    """What the certificate shall be valid for, as openssl writes subjectAltName."""
    return tuple(dict.fromkeys(_alternative_name(name.partition("%")[0]) for name in hostnames))


def _alternative_name(name: str) -> str:
    try:
        return f"IP:{ipaddress.ip_address(name)}"
    except ValueError:
        return f"DNS:{name}"


def check(host: Host) -> None:
    """Raises HostError where systemd cannot give a file of root's to a service of another user (LoadCredential=)."""
    probe = 'test -s "$CREDENTIALS_DIRECTORY/probe"'
    command = "systemd-run --quiet --wait --collect -p DynamicUser=yes -p LoadCredential=probe:/etc/passwd"
    if not host.ask("credentials", f"{command} sh -c {shlex.quote(probe)}").ok:
        raise HostError(
            "its systemd cannot hand a TLS key to a service (it needs 247 or later, and in a container shared mounts: "
            "mount --make-rshared /): use grpc:// there"
        )


def ensure(host: Host, alternative_names: Sequence[str]) -> None:
    """A key and a certificate for these names, made anew when they are others or it soon ends."""
    subject = f"/O=distcc-auto/CN={alternative_names[0].partition(':')[2][:64]}"
    wanted = ",".join(alternative_names)
    key, certificate = render.KEY_FILE, render.CERTIFICATE_FILE
    names_file = f"{render.TLS_DIR}/names"
    check = (
        f'[ "$(stat -c "%a %U" {key} 2>/dev/null)" = "600 root" ] && [ "$(cat {names_file})" = {shlex.quote(wanted)} ]'
        f" && openssl x509 -in {certificate} -noout -checkend {_RENEW_S}"
    )
    script = (
        f"umask 022; mkdir -p {render.TLS_DIR} && umask 077 && "
        f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days {_VALID_DAYS}"
        f" -subj {shlex.quote(subject)} -addext {shlex.quote(f'subjectAltName={wanted}')}"
        f" -keyout {key}.new -out {certificate}.new && chmod 0644 {certificate}.new && mv {key}.new {key} &&"
        f" mv {certificate}.new {certificate} && echo {shlex.quote(wanted)} >{names_file}"
    )
    host.ensure(f"TLS key, made there, and its certificate for {wanted}", check, script)


def fetch(host: Host, environ: Mapping[str, str]) -> str:
    """Writes the host's certificate beside this user's distplusplus.toml; the path. Raises HostError."""
    from distplusplus.agent import agent_settings as settings  # noqa: PLC0415  (of the extra that only grpc:// hosts need)

    text = host.remote.run("certificate", f"cat {render.CERTIFICATE_FILE}").stdout
    config = settings.user_file(environ)
    if config is None:
        raise HostError("its certificate cannot be written down here: HOME is not set")
    path = os.path.join(os.path.dirname(config), f"{host.remote.name.rpartition('//')[2].replace('/', '_')}.pem")
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
    except OSError as error:
        raise HostError(f"its certificate cannot be written down here: {path}: {error.strerror}") from None
    return path
