"""Facts about a host: one script collects everything that the other steps need. Parsing is pure."""

from __future__ import annotations

from dataclasses import dataclass

from provisioning.families import SystemFamily, family_of
from provisioning.host_errors import HostError
from provisioning.remote import Remote

# Prints "key=value" lines; the value is empty when the tool that would know it is missing.
SCRIPT = r"""
if [ -r /etc/os-release ]; then . /etc/os-release; fi
echo "os_id=$ID"
echo "os_like=$ID_LIKE"
echo "os_name=$PRETTY_NAME"
echo "init=$(cat /proc/1/comm)"
echo "systemd=$(systemctl --version 2>/dev/null | sed -n '1s/^systemd \([0-9]*\).*/\1/p')"
echo "virtualization=$(systemd-detect-virt --container 2>/dev/null)"
echo "cpus=$(nproc)"
echo "memory_kib=$(sed -n 's/^MemTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo)"
echo "machine=$(uname -m)"
if ufw status 2>/dev/null | grep -q '^Status: active'; then echo firewall=ufw
elif [ "$(firewall-cmd --state 2>/dev/null)" = running ]; then echo firewall=firewalld; fi
echo "selinux=$(getenforce 2>/dev/null)"
if grep -qsiE '^[[:space:]]*Include[[:space:]]+"?/etc/ssh/sshd_config\.d/\*\.conf' /etc/ssh/sshd_config; then
    echo sshd_includes=yes
fi
"""


@dataclass(frozen=True)
class Facts:
    """One host. `firewall` is "ufw", "firewalld", or "" when neither is active; `container` is its kind, or ""."""

    family: SystemFamily
    os_name: str
    systemd: int
    container: str
    cpus: int
    memory_mib: int
    machine: str
    firewall: str
    selinux_enforces: bool
    sshd_includes: bool


def gather(remote: Remote) -> Facts:
    """The facts of this host. Raises HostError when it cannot become a worker."""
    return parse(remote.run("facts", SCRIPT).stdout)


def parse(text: str) -> Facts:
    """The facts in SCRIPT's output. Raises HostError for an unknown family and for a host without systemd."""
    values = dict(line.partition("=")[::2] for line in text.splitlines() if "=" in line)
    name = values.get("os_name") or values.get("os_id") or "an unknown system"
    family = family_of(values.get("os_id", ""), values.get("os_like", ""))
    if family is None:
        raise HostError(f"{name} is not of Debian's, Fedora's or Arch's family; try `fab deploy`")
    if values.get("init") != "systemd" or not values.get("systemd"):
        raise HostError(f"its first process is {values.get('init') or 'unknown'}, not systemd; try `fab deploy`")
    try:
        systemd, cpus, memory_kib = (int(values[key]) for key in ("systemd", "cpus", "memory_kib"))
    except (KeyError, ValueError):
        raise HostError("it does not say how many CPUs and how much memory it has (nproc, /proc/meminfo)") from None
    return Facts(
        family=family,
        os_name=name,
        systemd=systemd,
        container=values.get("virtualization", "none").replace("none", ""),
        cpus=cpus,
        memory_mib=memory_kib // 1024,
        machine=values.get("machine", ""),
        firewall=values.get("firewall", ""),
        selinux_enforces=values.get("selinux") == "Enforcing",
        sshd_includes=values.get("sshd_includes") == "yes",
    )
