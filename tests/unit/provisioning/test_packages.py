"""What came with an installation is known afterwards, however it ended."""

from __future__ import annotations

import pytest

from provisioning import packages
from provisioning.families import family_of
from provisioning.host_errors import CommandFailed
from provisioning.record import Record, read, to_text
from tests.unit.provisioning.fake_host import FakeRemote, host

FOUND = family_of("debian", "")
assert FOUND
DEBIAN = FOUND


class Archive(FakeRemote):
    """A host with some packages, where installing distcc brings two and an account."""

    def __init__(self, install_status: int = 0) -> None:
        self.present = {"bash", "libc6:amd64"}
        self.accounts = {"user:root"}
        self.install_status = install_status
        super().__init__(
            {
                "getent passwd": lambda: "\n".join(self.accounts),
                "dpkg-query": lambda: "\n".join(self.present),
                " install ": self._install,
            }
        )

    def _install(self) -> str:
        self.present |= {"distcc", "libpopt0:amd64"}
        self.accounts |= {"user:distccd"}
        if self.install_status:
            raise CommandFailed("packages", "apt-get install", self.install_status, "E: broken pipe")
        return ""


def test_the_record_holds_what_came_and_nothing_that_was_there() -> None:
    one, said = host(Archive())
    known = packages.ensure(one, Record(), DEBIAN, ["distcc", "bash"])
    assert known == Record(packages=("distcc", "libpopt0:amd64"), accounts=("user:distccd",))
    assert said == ["changed: packages: distcc"]
    assert packages.ensure(one, known, DEBIAN, ["distcc"]) == known
    assert len(one.changes) == 1


def test_a_failed_installation_leaves_a_record_of_what_it_brought() -> None:
    remote = Archive(install_status=100)
    one, _ = host(remote)
    saved: list[Record] = []
    one.save = saved.append  # type: ignore[method-assign, assignment]
    with pytest.raises(CommandFailed, match="exit code 100"):
        packages.ensure(one, Record(), DEBIAN, ["distcc"])
    assert saved[0].before == ("bash", "libc6:amd64", "user:root")
    assert saved[-1] == Record(packages=("distcc", "libpopt0:amd64"), accounts=("user:distccd",))


def test_an_interrupted_installation_is_finished_and_counted() -> None:
    remote = Archive()
    remote.present |= {"distcc", "libpopt0:amd64"}
    one, said = host(remote)
    known = packages.ensure(one, Record(before=("bash", "libc6:amd64", "user:root")), DEBIAN, ["distcc"])
    assert known.packages == ("distcc", "libpopt0:amd64")
    assert known.before is None
    assert said[0] == "an earlier run was interrupted while it installed packages"
    assert any("dpkg --configure -a" in script for script in remote.scripts)


def test_a_dry_run_installs_nothing() -> None:
    remote = Archive()
    one, said = host(remote, dry_run=True)
    packages.ensure(one, Record(), DEBIAN, ["distcc"])
    assert said == ["would change: packages: distcc"]
    assert "distcc" not in remote.present


def test_a_record_is_read_as_it_was_written() -> None:
    known = Record(packages=("distcc",), firewall=("ufw 192.0.2.0/24 3632",), tunnel_user="t", before=("bash",))
    assert read(FakeRemote({"cat ": to_text(known)})) == known
    assert read(FakeRemote({"cat ": ""})) is None


@pytest.mark.parametrize("text", ["[]", "{", '{"other": 1}', "1"])
def test_a_record_of_something_else_is_told(text: str) -> None:
    from provisioning.host_errors import HostError

    with pytest.raises(HostError, match="is not a record of this version"):
        read(FakeRemote({"cat ": text}))
