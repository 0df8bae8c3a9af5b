"""TLS for grpcs:// workers: the host makes a key that only root can read and keeps it; the certificate is fetched."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping, Sequence

from provisioning import render
from provisioning.host_errors import HostError
from provisioning.safe_text import alternative_name
from provisioning.steps import Host

_VALID_DAYS = 3650
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----\n[A-Za-z0-9+/=\n]{1,65536}-----END CERTIFICATE-----\n")
_RENEW_S = 30 * 24 * 3600


def names(*hostnames: str) -> tuple[str, ...]:
    """What the certificate is to be valid for, as openssl writes it in subjectAltName. Raises RefusedText."""
    return tuple(dict.fromkeys(alternative_name(name) for name in hostnames))


def check(host: Host) -> None:
    """Raises HostError when systemd there cannot give a service a file that only root can read (LoadCredential=)."""
    probe = 'test -s "$CREDENTIALS_DIRECTORY/probe"'
    command = "systemd-run --quiet --wait --collect -p DynamicUser=yes -p LoadCredential=probe:/etc/passwd"
    if not host.ask("credentials", f"{command} sh -c {shlex.quote(probe)}").ok:
        raise HostError(
            "its systemd cannot hand a TLS key to a service (it needs 247 or later, and in a container shared mounts: "
            "mount --make-rshared /): use grpc:// there"
        )


def ensure(host: Host, alternative_names: Sequence[str]) -> None:
    """Makes a key and a certificate for these names, unless both are there and valid for another month."""
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
    host.ensure(f"TLS key, made on the host, and its certificate for {wanted}", check, script)


def fetch(host: Host, environ: Mapping[str, str]) -> str:
    """Writes the host's certificate beside this user's distplusplus.toml and returns its path. Raises HostError."""
    from distplusplus.agent import agent_settings as settings  # noqa: PLC0415  (of the extra that only grpc:// hosts need)

    text = host.remote.run("certificate", f"cat {render.CERTIFICATE_FILE}").stdout
    config = settings.user_file(environ)
    if config is None:
        raise HostError("its certificate cannot be saved on this machine: HOME is not set")
    if not _CERTIFICATE.fullmatch(text):
        raise HostError(f"{render.CERTIFICATE_FILE} there does not hold one certificate in PEM form")
    path = os.path.join(os.path.dirname(config), f"{host.remote.name.rpartition('//')[2].replace('/', '_')}.pem")
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
    except OSError as error:
        raise HostError(f"its certificate cannot be saved on this machine: {path}: {error.strerror}") from None
    return path
