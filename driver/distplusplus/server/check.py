"""`distplusplusd --check`: what would be allowed, and why. Serves nothing."""

from __future__ import annotations

import asyncio

from distcc_common import landlock
from distplusplus.protocol.refusals import CallRefused
from distplusplus.server.capacity import Capacity
from distplusplus.server.compilers import Compilers
from distplusplus.server.confinement import has_seccomp
from distplusplus.server.privileges import account, user_name
from distplusplus.server.server_settings import ServerSettings, is_local
from distplusplus.server.warden_client import choose_parent


async def report(settings: ServerSettings) -> str:
    """The text of --check."""
    slots = Capacity(settings.jobs, settings.memory_per_job_mib, lambda: 0).now()
    lines = [f"listens on: {address} ({_transport(settings, address)})" for address in settings.listen_address]
    lines += [
        f"runs as:    {who.name if (who := account(settings.user)) else user_name()}",
        f"slots:      {slots.count}, from {slots.reason}",
        f"memory:     {slots.free_memory_mib} MiB free; {settings.memory_per_job_mib} MiB wanted for each job",
        f"jobs in:    {choose_parent(settings.job_dir)}",
        f"confined:   {_confinement()}",
    ]
    compilers = Compilers(settings.compiler_dirs)
    names = compilers.names()
    described = await asyncio.gather(*(_describe(compilers, name) for name in names))
    lines.append(f"compilers:  {'' if names else 'none: no links in ' + ', '.join(settings.compiler_dirs)}".rstrip())
    width = max(map(len, names), default=0)
    lines += [f"    {name:{width}}  {text}" for name, text in zip(names, described, strict=True)]
    return "\n".join(lines)


def _transport(settings: ServerSettings, address: str) -> str:
    if address.startswith("unix:"):
        kind = "plain"
    elif settings.tls_certificate:
        kind = "TLS, client certificates" if settings.tls_client_ca else "TLS"
    else:
        kind = "plain"
    reach = "this machine only" if is_local(address) else "other machines can reach it"
    if settings.allow and not is_local(address):
        reach = f"taken from there: {', '.join(map(str, settings.allow))}"
    return f"{kind}{', bearer tokens' if settings.token_file else ''}, {reach}"


def _confinement() -> str:
    abi = landlock.abi()
    network = "no network" if has_seccomp() else "UDP is open: this kernel has no seccomp"
    if not abi:
        return f"no: this kernel has no Landlock, jobs can read what the server can; {network}"
    return f"yes, Landlock {abi}; {network}"


async def _describe(compilers: Compilers, name: str) -> str:
    program = compilers.find(name)
    if program is None:
        return "not usable: the link leads to no compiler, and there is none of that name in the system's directories"
    try:
        identity = await compilers.identify(program)
    except CallRefused as refused:
        return f"not usable: {refused}"
    family = identity.family.name
    return f"{family} {identity.version} {identity.target} {identity.digest[:12]}  {program.real_path}"
