"""The record that a host keeps of what was installed on it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioning import record
from provisioning.daemon_kinds import DISTCCD, DISTPLUSPLUSD
from provisioning.host_errors import HostError
from provisioning.record import Record
from tests.unit.provisioning.fake_host import FakeRemote

_TEXTS = st.lists(st.text(max_size=12), max_size=3).map(tuple)
_RECORDS = st.builds(
    Record,
    daemon=st.sampled_from([DISTCCD.name, DISTPLUSPLUSD.name]),
    ports=st.lists(st.integers(1, 65535), max_size=2).map(tuple),
    packages=_TEXTS,
    accounts=_TEXTS,
    links=_TEXTS,
    firewall=_TEXTS,
    selinux_ports=_TEXTS,
    tunnel_user=st.none() | st.text(max_size=12),
    container=st.none() | st.text(max_size=12),
    images=_TEXTS,
    before=st.none() | _TEXTS,
)


def read(text: str) -> Record | None:
    return record.read(FakeRemote({f"cat {record.FILE}": text}))


def test_a_host_without_the_file_has_no_record() -> None:
    assert read("") is None
    assert read("\n") is None


@given(_RECORDS)
def test_what_is_written_is_what_is_read(written: Record) -> None:
    assert read(record.to_text(written)) == written


def test_a_record_names_its_kind_of_daemon() -> None:
    assert Record().kind is DISTCCD
    assert Record(daemon="distplusplusd").kind is DISTPLUSPLUSD


def test_a_field_that_an_older_version_did_not_write_has_its_default() -> None:
    assert read('{"packages": ["distcc"]}') == Record(packages=("distcc",))


@pytest.mark.parametrize(
    "document",
    [
        "[]",
        "{",
        "3",
        {"unknown": 1},
        {"daemon": "cupsd"},
        {"daemon": None},
        {"ports": ["3632"]},
        {"ports": [True]},
        {"packages": "distcc"},
        {"packages": [1]},
        {"packages": None},
        {"tunnel_user": 7},
        {"container": ["a"]},
        {"before": 7},
    ],
    ids=str,
)
def test_anything_else_is_refused_with_the_file_s_name(document: str | dict[str, object]) -> None:
    text = document if isinstance(document, str) else json.dumps(document)
    with pytest.raises(HostError, match=rf"^{record.FILE} there is not a record of this version: "):
        read(text)
