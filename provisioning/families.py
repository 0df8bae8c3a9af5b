"""How the package managers differ: package names and command lines. Pure.

| family | from | distccd | Python | compilers |
|---|---|---|---|---|
| debian | apt-get(8), dpkg-query(1) | distcc | python3 | gcc + g++, gcc-N + g++-N, clang, clang-N |
| fedora | dnf(8), rpm(8) | distcc-server (RHEL: in EPEL) | python3 | gcc + gcc-c++, clang: one version of each |
| arch | pacman(8) | distcc | python | gcc, clang: one version of each |
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from provisioning.safe_text import package_names

_COMPILER = re.compile(r"(gcc|clang)(-[0-9]+)?")


@dataclass(frozen=True)
class SystemFamily:
    """Command lines for sh, run as root. Lists are printed with one package name per line.

    `refresh` reads the archive's package lists. `repair` finishes an interrupted installation. `removable` prints those
    of the given packages that nothing else needs. Those that take package names raise RefusedText when a package
    manager could take one for an option.
    """

    name: str
    distcc: tuple[str, ...]
    python: tuple[str, ...]
    refresh: str
    repair: str
    installed: str
    _install: str
    _upgrade: str
    _remove: str
    _removable: str
    _available: str
    _upgradable: str | None
    _compiler: Callable[[str, str], tuple[str, ...] | None]
    install_remedy: str

    def compiler_packages(self, compiler: str) -> tuple[str, ...]:
        """The packages for "gcc", "gcc-12", "clang" ... (C and C++). Raises ValueError when the family has none."""
        parts = _COMPILER.fullmatch(compiler)
        if not parts:
            raise ValueError(f"'{compiler}' is none of gcc, gcc-N, clang, clang-N")
        packages = self._compiler(parts[1], parts[2] or "")
        if packages is None:
            raise ValueError(f"the archives of {self.name} have one version of {parts[1]}: use '{parts[1]}'")
        return packages

    def install(self, packages: Iterable[str]) -> str:
        return f"{self._install} {_words(packages)}"

    def upgrade(self, packages: Iterable[str]) -> str:
        return f"{self._upgrade} {_words(packages)}"

    def remove(self, packages: Iterable[str]) -> str:
        return f"{self._remove} {_words(packages)}"

    def available(self, packages: Iterable[str]) -> str:
        """Succeeds when the archive has all of them."""
        return f"{self._available} {_words(packages)}"

    def upgradable(self, packages: Iterable[str]) -> str | None:
        """Prints a line for each that has a newer version; None when the family cannot upgrade single packages."""
        return self._upgradable and self._upgradable.replace("PACKAGES", _words(packages))

    def removable(self, packages: Iterable[str]) -> str:
        return self._removable.replace("PACKAGES", _words(packages))


def _words(packages: Iterable[str]) -> str:
    return shlex.join(package_names(packages))


def family_of(os_id: str, os_like: str) -> SystemFamily | None:
    """The family with this ID or ID_LIKE of os-release(5), or None."""
    for word in (os_id, *os_like.split()):
        for family, ids in _FAMILIES:
            if word in ids:
                return family
    return None


def _debian_compiler(name: str, version: str) -> tuple[str, ...]:
    return (f"gcc{version}", f"g++{version}") if name == "gcc" else (f"clang{version}",)


def _fedora_compiler(name: str, version: str) -> tuple[str, ...] | None:
    return None if version else ("gcc", "gcc-c++") if name == "gcc" else ("clang",)


def _arch_compiler(name: str, version: str) -> tuple[str, ...] | None:
    return None if version else (name,)


_APT = "DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=l apt-get -y -q -o DPkg::Lock::Timeout=300"

_DEBIAN = SystemFamily(
    name="debian",
    distcc=("distcc",),
    python=("python3",),
    refresh=f"{_APT} update",
    repair="DEBIAN_FRONTEND=noninteractive dpkg --configure -a --force-confold",
    installed=r"dpkg-query -W -f '${db:Status-Status} ${binary:Package}\n' | sed -n 's/^installed //p'",
    _install=f"{_APT} -o Dpkg::Options::=--force-confold install --no-install-recommends",
    _upgrade=f"{_APT} -o Dpkg::Options::=--force-confold install --only-upgrade --no-install-recommends",
    _remove=f"{_APT} purge",
    # What apt would remove automatically if none of them had been installed by name.
    _removable=(
        "apt-mark -qq auto PACKAGES >/dev/null && apt-get -s -o APT::AutoRemove::RecommendsImportant=false"
        " -o APT::AutoRemove::SuggestsImportant=false autoremove | sed -n 's/^Remv \\([^ ]*\\).*/\\1/p' | sort -u"
        " | while read -r name; do for ours in PACKAGES; do"
        ' [ "${ours%%:*}" = "${name%%:*}" ] && echo "$ours"; done; done; :'
    ),
    _available="apt-cache show --no-all-versions",
    _upgradable="apt-get -s -q install --only-upgrade --no-install-recommends PACKAGES | grep ^Inst",
    _compiler=_debian_compiler,
    install_remedy="does this release's archive have the package, and can the host reach the archive?",
)

_FEDORA = SystemFamily(
    name="fedora",
    distcc=("distcc-server", "distcc"),
    python=("python3", "tar"),
    refresh="dnf -y -q makecache",
    repair=":",
    installed=r"rpm -qa --qf '%{NAME}\n'",
    _install="dnf -y --setopt=install_weak_deps=False install",
    _upgrade="dnf -y --setopt=install_weak_deps=False upgrade",
    _remove="dnf -y --noautoremove remove",
    # All or none: rpm names the missing capability, not the package that provides it.
    _removable="if rpm -e --test PACKAGES >&2; then printf '%s\\n' PACKAGES; fi",
    _available="dnf -q list",
    _upgradable="dnf -q list --upgrades PACKAGES",
    _compiler=_fedora_compiler,
    install_remedy="on RHEL and its rebuilds distcc-server is in EPEL: dnf install epel-release",
)

_ARCH = SystemFamily(
    name="arch",
    distcc=("distcc",),
    python=("python",),
    refresh=":",  # installing from a new list without a full upgrade is a partial upgrade, which Arch does not support
    repair=":",
    installed="pacman -Qq",
    _install="pacman -S --needed --noconfirm",
    _upgrade="pacman -S --needed --noconfirm",
    _remove="pacman -Rn --noconfirm",
    _removable="if pacman -R --print PACKAGES >/dev/null; then printf '%s\\n' PACKAGES; fi",
    _available="pacman -Si",
    _upgradable=None,
    _compiler=_arch_compiler,
    install_remedy="if the package list is old, run pacman -Syu there, then this again",
)

_FAMILIES = (
    (_DEBIAN, frozenset({"debian", "ubuntu"})),
    (_FEDORA, frozenset({"fedora", "rhel", "centos"})),
    (_ARCH, frozenset({"arch"})),
)
