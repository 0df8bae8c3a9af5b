"""Names of sources and outputs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distplusplus.compiler.file_names import check_name, check_output, check_path
from distplusplus.compiler.not_allowed import NotAllowedError
from distplusplus.compiler.options import Extra


@given(st.text(max_size=12))
def test_names_are_safe_or_refused(name: str) -> None:
    try:
        check_name(name)
    except NotAllowedError:
        return
    assert name not in ("", ".", "..")
    assert not set("/\0\n") & set(name)
    assert name[0] not in "-@"


def test_outputs_stay_below_the_directory_of_the_job() -> None:
    for wanted, made in (("obj/x.o", "obj/x.o"), ("/abs/x.o", "x.o"), ("../x.o", "x.o"), ("./x.o", "x.o")):
        assert check_output(wanted, frozenset()) == made
    with pytest.raises(NotAllowedError, match="records the output's name"):
        check_output("../x.o", frozenset({Extra.DWO}))


@pytest.mark.parametrize("path", ["x" * 4097, "a\0b", "a\nb"])
def test_paths_that_no_file_can_have(path: str) -> None:
    with pytest.raises(NotAllowedError, match="output name"):
        check_path("output name", path)
