"""Refusals have the numbers and names of the protocol, which they do not import."""

from __future__ import annotations

from distplusplus.compiler.not_allowed import Reason
from distplusplus.protocol import distplusplus_pb2 as pb


def test_reasons_are_those_of_the_protocol() -> None:
    assert {reason.name: int(reason) for reason in Reason}.items() <= dict(pb.Refusal.Reason.items()).items()
