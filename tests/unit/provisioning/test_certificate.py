"""The certificate of a grpcs:// worker: for which names it is made, and which answer is taken for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from provisioning import certificate, render
from provisioning.host_errors import HostError, RefusedText
from tests.unit.provisioning.fake_host import FakeRemote, host

PEM = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"


def test_names_and_addresses_are_told_apart_and_named_once() -> None:
    found = certificate.names("worker-1", "192.0.2.1", "worker-1", "2001:db8::1")
    assert found == ("DNS:worker-1", "IP:192.0.2.1", "IP:2001:db8::1")


@pytest.mark.parametrize("name", ["", "a b", "a,DNS:bank.example", "a\nb", "*", "-x"])
def test_a_name_that_would_mean_something_else_to_openssl_is_refused(name: str) -> None:
    with pytest.raises(RefusedText):
        certificate.names("worker-1", name)


def test_it_is_made_only_if_it_is_missing() -> None:
    one, _ = host(FakeRemote({}))
    certificate.ensure(one, ["DNS:worker-1"])
    assert one.changes == []
    remote = FakeRemote({"stat -c": 1})
    one, _ = host(remote)
    certificate.ensure(one, ["DNS:worker-1", "IP:192.0.2.1"])
    assert "-addext subjectAltName=DNS:worker-1,IP:192.0.2.1" in remote.scripts[-1]
    assert "-subj /O=distcc-auto/CN=worker-1" in remote.scripts[-1]


def test_it_is_saved_beside_the_user_s_settings(tmp_path: Path) -> None:
    remote = FakeRemote({render.CERTIFICATE_FILE: PEM})
    remote.name = "grpcs://worker-1"
    path = Path(certificate.fetch(host(remote)[0], {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "c")}))
    assert path.read_text() == PEM
    assert path == tmp_path / "c" / "distplusplus" / "worker-1.pem"


@pytest.mark.parametrize("text", ["", "no certificate", PEM + PEM, PEM.replace("CERTIFICATE", "PRIVATE KEY")])
def test_what_is_not_one_certificate_is_not_saved(tmp_path: Path, text: str) -> None:
    one, _ = host(FakeRemote({render.CERTIFICATE_FILE: text}))
    with pytest.raises(HostError, match="does not hold one certificate"):
        certificate.fetch(one, {"HOME": str(tmp_path)})
    assert list(tmp_path.iterdir()) == []
