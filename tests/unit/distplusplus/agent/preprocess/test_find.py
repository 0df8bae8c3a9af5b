"""memmem beside bytes.find."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from distplusplus.agent.preprocess.find import find


@given(st.binary(max_size=40), st.binary(min_size=1, max_size=3), st.integers(0, 45))
def test_find_is_that_of_bytes(text: bytes, part: bytes, start: int) -> None:
    assert find(text, part, start) == text.find(part, start)
