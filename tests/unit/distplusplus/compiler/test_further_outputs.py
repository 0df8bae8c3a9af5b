"""Names beside the object: those that compilers were seen to write."""

from __future__ import annotations

import pytest

from distplusplus.compiler.further_outputs import further_output_names
from distplusplus.compiler.options import Extra


@pytest.mark.parametrize(
    ("output", "stem"),
    [("a.o", "a"), ("out/dir.d/x.c.o", "x.c"), ("/abs/a", "a"), ("x.", "x"), ("x.tar.gz", "x.tar"), ("a b.o", "a b")],
)
def test_the_ending_is_replaced(output: str, stem: str) -> None:
    assert further_output_names(output, frozenset(Extra)) == {
        f"{stem}.dwo": Extra.DWO,
        f"{stem}.gcno": Extra.GCNO,
        f"{stem}.su": Extra.STACK_USAGE,
        f"{stem}.ci": Extra.CALLGRAPH,
        f"{stem}.opt.yaml": Extra.OPTIMIZATION_RECORD,
        f"{stem}.json": Extra.TIME_TRACE,
    }


def test_only_what_is_asked_for_and_never_the_output_itself() -> None:
    assert further_output_names("a.o", frozenset({Extra.DWO})) == {"a.dwo": Extra.DWO}
    assert further_output_names("a.o", frozenset()) == {}
    assert further_output_names("a.su", frozenset({Extra.STACK_USAGE})) == {}
