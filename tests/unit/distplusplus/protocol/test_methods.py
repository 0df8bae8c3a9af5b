"""The calls of the protocol."""

from __future__ import annotations

from typing import Any

from distplusplus.protocol import distplusplus_pb2 as pb
from distplusplus.protocol import methods


def test_methods_are_the_services_of_the_proto() -> None:
    described = {
        f"/{service.full_name}/{method.name}": (method.input_type.name, method.output_type.name)
        for service in pb.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }
    ours: list[methods.Method[Any, Any]] = [
        methods.QUERY,
        methods.RESERVE,
        methods.DISTRIBUTE,
        methods.DESCRIBE,
    ]
    assert {m.path: (m.request.DESCRIPTOR.name, m.answer.DESCRIPTOR.name) for m in ours} == described
