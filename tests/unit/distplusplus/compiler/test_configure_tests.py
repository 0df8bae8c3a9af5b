"""Which compiles are tests of configure."""

from __future__ import annotations

import pytest

from distplusplus.compiler.configure_tests import is_configure_test


@pytest.mark.parametrize(
    ("source", "output", "directory", "expected"),
    [
        ("conftest.c", None, "/home/u", True),
        ("/b/CMakeFiles/CMakeScratch/t/testCXXCompiler.cxx", None, "/b", True),
        ("/b/CMakeFiles/CMakeTmp/check.c", None, "/b", True),
        ("/b/meson-private/tmpx/testfile.cpp", "/b/meson-private/tmpx/output.obj", "/b/meson-private/tmpx", True),
        ("/tmp/ffconf.a1/test.c", "/tmp/ffconf.a1/test.o", "/home/u/ffmpeg", True),
        ("/tmp/test.c", "/tmp/test.o", "/home/u", True),
        ("/scratch/ffconf.a1/test.c", "/scratch/ffconf.a1/test.o", "/home/u/ffmpeg", True),
        # What is called like one.
        ("testfile.c", "testfile.o", "/home/u", False),
        ("src/testfile.cpp", None, "/home/u", False),
        # A build that is in a temporary directory.
        ("/tmp/build/a.c", "/tmp/build/a.o", "/tmp/build", False),
        ("/tmp/build/a.c", "/tmp/build/a.o", "/tmp/build/sub", False),
        ("/tmp/build/a.c", "a.o", "/home/u", False),
        ("/tmp/build/a.c", "/tmp/other/a.o", "/home/u", False),
        ("/tmp/build/a.c", "/tmp/build/a.o", "", False),
        # With a file of dependencies.
        ("/tmp/build/a.c", None, "/home/u", False),
        ("a.c", "a.o", "/tmp", False),
    ],
)
def test_the_kind_counts_and_not_the_name_alone(
    source: str, output: str | None, directory: str, expected: bool
) -> None:
    assert is_configure_test(source, output, directory, ("", "/scratch/", "/tmp", "/var/tmp")) is expected
