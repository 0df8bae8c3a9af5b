"""The proof, with a real distccd on loopback in the place of a worker."""

from __future__ import annotations

import pytest

from distcc_auto.demo.loopback import LoopbackWorker
from provisioning import prove
from provisioning.host_errors import HostError


def test_a_worker_is_proved_by_what_it_compiled() -> None:
    with LoopbackWorker(1) as worker:
        proof = prove.prove(worker.spec, ["gcc", "g++", "gcc-99"])
    assert [one.compiler for one in proof.compiled] == ["gcc", "g++"]
    for one in proof.compiled:
        assert one.there.startswith("GCC: (")
        assert one.there == one.here


def test_a_worker_that_does_not_answer_is_not_proved_and_nothing_is_compiled_here() -> None:
    with LoopbackWorker(1) as worker:
        spec = worker.spec
    with pytest.raises(HostError, match=r"proof: compiling through .* failed \(exit code 97\)(.|\n)*refused"):
        prove.prove(spec, ["gcc"])


def test_no_common_compiler_is_told() -> None:
    with pytest.raises(HostError, match=r"none of the worker's compilers \(gcc-99\)"):
        prove.prove("worker-1", ["gcc-99"])
