"""The table of options: its order, and that no row says what cannot be."""

from __future__ import annotations

import re
import subprocess
import sys

from distplusplus.compiler.options import TABLE, Server, Shape, Value
from distplusplus.compiler.words import find


def test_the_rows_are_in_order_and_there_is_one_for_each_compiler() -> None:
    keys = [(option.name, option.clang is True) for option in TABLE]
    assert keys == sorted(keys)
    assert len(set(keys)) == len(keys)
    both = [option.name for option in TABLE if option.clang is None]
    assert not set(both) & {option.name for option in TABLE if option.clang is not None}


def test_each_row_is_sound() -> None:
    for option in TABLE:
        takes_value = bool(option.shape & ~Shape.ALONE)
        assert takes_value is (option.value != Value.NONE), option
        assert option.server != Server.REFUSED or (option.why and option.extra is None), option
        if option.server == Server.ALLOWED and takes_value and option.value != Value.OPTIONS:
            assert option.form is not None or option.name in ("-x", "--language"), option
        if option.form is not None:
            assert option.server == Server.ALLOWED, option
            re.compile(option.form)
        if Shape.EQUALS in option.shape:
            assert not option.name.endswith("="), option


def test_a_row_is_found_by_each_of_its_shapes() -> None:
    for option in TABLE:
        clang = option.clang is True
        if option.shape & (Shape.ALONE | Shape.SEPARATE):
            assert find(option.name, clang) == (option, None)
        if option.shape & Shape.EQUALS:
            assert find(f"{option.name}=/x", clang) == (option, "/x")
        if option.shape & Shape.JOINED:
            assert find(f"{option.name}/x", clang) == (option, "/x")


# A slash in a value is a path, unless it is one of the user's own names.
NAMES = {
    *("-fcoverage-compilation-dir=", "-fdebug-compilation-dir", "-fdebug-compilation-dir=", "-ffile-compilation-dir="),
    *("-fcoverage-prefix-map=", "-fdebug-prefix-map=", "-ffile-prefix-map=", "-fmacro-prefix-map=", "-frandom-seed="),
    # The server says itself where the profile is.
    *("-fprofile-generate", "-fprofile-use", "-fprofile-instr-use"),
}


def test_no_value_that_is_passed_on_is_a_path() -> None:
    for option in TABLE:
        for value in ("/x", "a/b", "=/x", "=a=/x", "-list=/x"):
            if option.form is not None and option.name not in NAMES:
                assert not re.fullmatch(option.form, value), option


def test_the_table_costs_little_to_import() -> None:
    """What costs: grpc and protobuf 100 ms, asyncio 20, ctypes 15."""
    code = (
        "import sys; from distplusplus.compiler import classify, terminal, response_files\n"
        "costly = ('grpc', 'google.protobuf', 'asyncio', 'ctypes', 'subprocess')\n"
        "print([name for name in costly if name in sys.modules],"
        " [name for name in sys.modules if name.startswith(('distplusplus.agent', 'distplusplus.server'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[] []\n"
