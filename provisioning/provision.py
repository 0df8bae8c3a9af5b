"""Turns a bare host into a worker in steps. Each step looks before it changes anything."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Sequence

from distcc_auto.hosts import GrpcHost, HostSpec, SshHost
from distcc_common.errors import ConfigurationError
from provisioning import certificate, firewall, packages, record, render, service, software, worker_unit
from provisioning.daemon_kinds import DISTCCD, DISTPLUSPLUSD, DaemonKind, kind_of, ports_of
from provisioning.facts import Facts, gather
from provisioning.host_errors import HostError, RefusedText
from provisioning.host_settings import THIS_MACHINE, HostSettings, default_jobs, default_nice
from provisioning.record import Record
from provisioning.safe_text import account_name, client_network
from provisioning.steps import Host
from provisioning.targets import Target

# The names that clients send; cc and c++ are sent as the compilers that they stand for.
_COMPILER_NAMES = r"([a-z0-9_]+-)*(gcc|g\+\+|clang|clang\+\+)(-[0-9.]+)?"
_LIST_COMPILERS = (
    f"ls {render.COMPILERS_DIR} /usr/local/bin /usr/bin 2>/dev/null | grep -xE '{_COMPILER_NAMES}' | sort -u"
)
# A configuration that sshd refuses must not stay: sshd's next start would lock everybody out.
_RELOAD_SSHD = f"""
mkdir -p /run/sshd
if ! $(command -v sshd || echo /usr/sbin/sshd) -t; then rm -f {render.SSHD_FILE}; exit 1; fi
for unit in ssh sshd; do
    if systemctl is-active -q $unit.service; then systemctl reload $unit.service; fi
done"""


def provision(host: Host, settings: HostSettings, spec: HostSpec) -> Facts:
    """Makes the host a worker as `settings` say. Raises HostError; earlier steps stay, and the record has them."""
    client = host.remote.open()
    facts = gather(host.remote)
    kind, ports = kind_of(spec), ports_of(spec)
    has_tls = isinstance(spec, GrpcHost) and spec.tls
    tunnel_user = (spec.user if isinstance(spec, SshHost) else None) or render.TUNNEL_USER
    allow = allowed_networks(settings.allow, client)
    known = known_as(host, kind)
    check_ports_free(host, ports)
    if settings.tunnel_keys:
        _check_tunnel(host, known, facts, tunnel_user)
    if has_tls:
        certificate.check(host)
    if kind is DISTPLUSPLUSD:
        software.find_python(host)  # raises for one that is too old, before anything changes
    known = dataclasses.replace(known, daemon=kind.name, ports=ports)
    wanted = wanted_packages(facts, kind, settings.compilers, has_tls)
    known = packages.ensure(host, known, facts.family, wanted)
    host.save(known)
    program = _ensure_program(host, kind)
    known = ensure_links(host, known)
    if has_tls:
        certificate.ensure(host, certificate.names(spec.hostname, host.remote.connection.host))
    else:
        host.ensure_absent(render.TLS_DIR)
    jobs = settings.jobs or default_jobs(facts.cpus, facts.memory_mib)
    nice = default_nice(facts.cpus, facts.memory_mib) if settings.nice is None else settings.nice
    _ensure_journal(host, facts)
    unit = worker_unit.text(host, facts, kind, program, ports, render.UnitSettings(jobs, nice, allow, has_tls))
    host.ensure_file(render.UNIT_FILE, unit)
    if settings.tunnel_keys:
        known = _ensure_tunnel_account(host, known, settings.tunnel_keys, tunnel_user, ports)
    else:
        known = ensure_no_tunnel_account(host, known)
    if facts.selinux_enforces and kind is DISTCCD:
        known = _ensure_selinux_ports(host, known, ports)
    firewall.ensure(host, known, firewall.rules(facts.firewall, allow, ports))
    ensure_running(host, known)
    return facts


def known_as(host: Host, kind: DaemonKind, in_container: bool = False) -> Record:
    """The host's record. Raises HostError when the host is a worker of another kind."""
    known = record.read(host.remote)
    if known is None:
        return Record()
    if (known.daemon, bool(known.images)) != (kind.name, in_container):
        made = f"runs {known.daemon}{' in a container' if known.images else ''}"
        raise HostError(
            f"it is already a worker, or partly one, that {made}; run `fab remove {host.remote.name}` first"
        )
    return known


def _ensure_program(host: Host, kind: DaemonKind) -> str:
    """The path of the program that the unit starts."""
    if kind is DISTCCD:
        return host.ask("distccd", "command -v distccd || echo /usr/bin/distccd").stdout.strip()
    python = software.find_python(host)
    if python is None:
        if not host.dry_run:
            raise HostError("its Python package is installed, but no python3 runs")
        host.change("distplusplusd, sent over ssh", ":")
        return "/usr/bin/python3"
    software.ensure(host, python)
    return python.path


def require_clients(target: Target) -> None:
    """Raises ConfigurationError when nobody could connect. There is no default: any would be wrong for somebody."""
    if isinstance(target.spec, GrpcHost) and target.settings.tunnel_keys:
        raise ConfigurationError(
            f"{target.name}: distplusplusd has no tunnels: grpc:// and grpcs:// hosts take no tunnel keys "
            "(tunnel_keys = [] in the inventory overrides [defaults])"
        )
    if isinstance(target.spec, SshHost) and target.spec.user and target.settings.tunnel_keys:
        try:
            account_name(target.spec.user)
        except RefusedText as error:
            raise ConfigurationError(f"{target.name}: {error}") from None
    if not (target.settings.allow or target.settings.tunnel_keys or isinstance(target.spec, SshHost)):
        raise ConfigurationError(
            f"{target.name}: who may compile there? Name addresses or networks with --allow (--allow {THIS_MACHINE} "
            "for this machine), or public keys for tunnels with --tunnel-key; in the inventory: allow, tunnel_keys"
        )


def compilers_there(host: Host) -> list[str]:
    """The names of the compilers that the daemon on the host can run."""
    names = host.remote.run("compilers", _LIST_COMPILERS).words
    return list(dict.fromkeys(names))


def allowed_networks(allow: Sequence[str], client: str) -> tuple[str, ...]:
    """The networks of `allow`. `client` is this machine's address as the host's sshd reports it. Raises HostError."""
    own = ""
    if THIS_MACHINE in allow:
        try:
            # A link-local address has a zone there, which is the name of an interface of the host.
            own = client_network(client.partition("%")[0])
        except RefusedText:
            raise HostError(
                f"its sshd does not say from which address this machine connects: name it instead of {THIS_MACHINE}"
            ) from None
    return tuple(dict.fromkeys(own if network == THIS_MACHINE else client_network(network) for network in allow))


def check_ports_free(host: Host, ports: Sequence[int]) -> None:
    script = (
        f"systemctl is-active -q {render.UNIT} && exit 0; "
        f"ss -Hltnp '( {' or '.join(f'sport = :{port}' for port in ports)} )'"
    )
    if taken := host.ask("ports", script).stdout.strip():
        raise HostError(
            f"another program listens on port {' or '.join(map(str, ports))} there:\n  {taken}\n"
            "  Stop it, or give the worker other ports (host = in the inventory)"
        )


def _check_tunnel(host: Host, known: Record, facts: Facts, user: str) -> None:
    account_name(user)
    if not facts.sshd_includes:
        raise HostError(
            "its sshd does not read /etc/ssh/sshd_config.d/*.conf (OpenSSH before 8.2, or /etc/ssh/sshd_config has no "
            "Include for it), so an account cannot be limited to tunnels there"
        )
    if known.tunnel_user != user and host.ask("tunnel account", f"getent passwd {shlex.quote(user)}").ok:
        raise HostError(
            f"the account {user} exists already, and `fab provision` did not make it. For tunnels through your own "
            'account, give no tunnel keys: host = "ssh://USER@HOST" is enough'
        )


def wanted_packages(facts: Facts, kind: DaemonKind, compilers: Sequence[str], has_tls: bool = False) -> list[str]:
    wanted = list(kind.packages(facts.family))
    for compiler in compilers:
        try:
            wanted += facts.family.compiler_packages(compiler)
        except ValueError as error:
            raise HostError(f"compilers: {error}") from None
    if has_tls:
        wanted.append("openssl")
    if facts.selinux_enforces and kind is DISTCCD:
        wanted.append("policycoreutils-python-utils")
    return list(dict.fromkeys(wanted))


def ensure_links(host: Host, known: Record) -> Record:
    """Makes a link for every compiler: neither daemon runs a compiler without one (distcc 3.4, src/serve.c)."""
    found = host.ask("links", f"{known.kind.links}\n{_LIST_COMPILERS}")
    if host.dry_run and (not found.ok or not found.words[2:]):
        host.change(f"links to the compilers that {known.daemon} may run", ":")
        return known
    if not found.ok or len(found.words) < 2:
        raise HostError(f"it has no directory for {known.daemon}'s compilers (is {known.daemon} installed?)")
    directory, target, *names = found.words
    # distplusplusd searches COMPILERS_DIR itself: a compiler that is only there needs no link.
    needs = "command -v $name >/dev/null || continue;" if target == "itself" else ""
    quoted = shlex.quote(directory)
    look = f"for name in {shlex.join(names)}; do {needs} [ -x {quoted}/$name ] || echo $name; done"
    if lacking := host.ask("links", look).words:
        links = (f"{directory}/{name}" for name in lacking)
        known = dataclasses.replace(known, links=tuple(dict.fromkeys((*known.links, *links))))
        host.save(known)
        leads_to = "$(command -v $name)" if target == "itself" else shlex.quote(target)
        host.change(
            f"links in {directory}: {' '.join(lacking)}",
            f"mkdir -p {quoted} && for name in {shlex.join(lacking)}; do "
            f"ln -sfn {leads_to} {quoted}/$name || exit 1; done",
        )
    return known


def _ensure_journal(host: Host, facts: Facts) -> None:
    if facts.systemd >= render.LOG_NAMESPACE_SYSTEMD:
        host.ensure_file(render.JOURNAL_FILE, render.journal())
    else:
        host.warn(f"systemd {facts.systemd} has no log namespaces: the log goes to the host's journal")


def _ensure_tunnel_account(host: Host, known: Record, keys: Sequence[str], user: str, ports: tuple[int, ...]) -> Record:
    if known.tunnel_user not in (user, None):
        known = ensure_no_tunnel_account(host, known)
    if known.tunnel_user is None:
        known = dataclasses.replace(known, tunnel_user=user)
        host.save(known)
    host.ensure(
        f"account {user}, for tunnels only",
        f"getent passwd {shlex.quote(user)}",
        # "*" permits no password and, unlike "!", does not lock the account for an sshd without PAM.
        f"useradd --system --user-group --no-create-home --home-dir /nonexistent --shell $(command -v nologin)"
        f" --comment 'tunnels to distccd' --password '*' {shlex.quote(user)}",
    )
    host.ensure_file(render.KEYS_FILE, "\n".join(keys) + "\n")
    host.ensure_file(render.SSHD_FILE, render.sshd(user, ports), then=_RELOAD_SSHD)
    return known


def ensure_no_tunnel_account(host: Host, known: Record) -> Record:
    host.ensure_absent(render.SSHD_FILE, then=_RELOAD_SSHD)
    host.ensure_absent(render.KEYS_FILE)
    if user := known.tunnel_user:
        quoted = shlex.quote(user)
        host.ensure(f"no account {user}", f"! getent passwd {quoted}", f"userdel {quoted}")
        known = dataclasses.replace(known, tunnel_user=None)
        host.save(known)
    return known


def _ensure_selinux_ports(host: Host, known: Record, ports: Sequence[int]) -> Record:
    """SELinux lets distccd listen only on ports of type distccd_port_t, by default 3632 (semanage-port(8))."""
    for port in ports:
        check = f"semanage port -l | grep -E '^distccd_port_t +tcp' | grep -qwF {port}"
        if host.ask("SELinux", check).ok:
            continue
        known = dataclasses.replace(known, selinux_ports=tuple(dict.fromkeys((*known.selinux_ports, str(port)))))
        host.save(known)
        host.change(f"SELinux: port {port} is distccd's", f"semanage port -a -t distccd_port_t -p tcp {port}")
    return known


def ensure_running(host: Host, known: Record) -> None:
    """Enables and starts the service, unless it runs and was started after the last change of its files and program."""
    check = f"""
systemctl is-enabled -q {render.UNIT} && {service.listens(known.ports)} || exit 1
[ "$(systemctl show -p NeedDaemonReload --value {render.UNIT})" = no ] || exit 1
started=$(date -d "$(TZ=UTC systemctl show -p ActiveEnterTimestamp --value {render.UNIT})" +%s) || exit 1
for file in {render.UNIT_FILE} {render.JOURNAL_FILE} {render.KEY_FILE} {known.kind.program}; do
    if [ -e "$file" ] && [ "$(stat -c %Z "$file")" -gt "$started" ]; then exit 1; fi
done"""
    script = service.start_script(known.ports)
    host.ensure(f"{render.UNIT} enabled and started", check, script, service.start_s(known))
