"""Where `-j N` goes in a build command."""

from __future__ import annotations

import shlex

import pytest

from distcc_auto.build.command import BuildPlace, PlacedCommand, build_place, place_jobs


def placed(line: str, **environ: str) -> PlacedCommand:
    return place_jobs(shlex.split(line), 8, environ)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("make", "make -j 8"),
        ("make foo bar", "make foo bar -j 8"),
        ("/usr/bin/make -C dir", "/usr/bin/make -C dir -j 8"),
        ("make -- target", "make -j 8 -- target"),
        ("make -Cjunk -f j.mk all", "make -Cjunk -f j.mk all -j 8"),
        ("make -C -j", "make -C -j -j 8"),
        ("make -k jobs", "make -k jobs -j 8"),
        ("ninja", "ninja -j 8"),
        ("ninja -C out all", "ninja -C out all -j 8"),
        ("scons target", "scons target -j 8"),
        ("./build.sh all", "./build.sh all -j 8"),
        ("sh build.sh", "sh build.sh -j 8"),
        ("bash -e build.sh all", "bash -e build.sh all -j 8"),
        ("cmake --build out", "cmake --build out -j 8"),
        ("cmake --build out -- -k", "cmake --build out -j 8 -- -k"),
        ("cmake --build out --target a b", "cmake --build out --target a b -j 8"),
        ("meson compile -C out", "meson compile -C out -j 8"),
        ("nice make", "nice make -j 8"),
        ("nice -n 5 make -- t", "nice -n 5 make -j 8 -- t"),
        ("env A=b C=d make", "env A=b C=d make -j 8"),
        ("env -u A -- B=c make -- t", "env -u A -- B=c make -j 8 -- t"),
        ("time make", "time make -j 8"),
        ("time -f %e nice env A=b cmake --build x -- -k", "time -f %e nice env A=b cmake --build x -j 8 -- -k"),
        ("timeout -k 5 60 make -- t", "timeout -k 5 60 make -j 8 -- t"),
        ("ccache make", "ccache make -j 8"),
        ("bear -- make", "bear -- make -j 8"),
        ("bear --output db.json -- make -- t", "bear --output db.json -- make -j 8 -- t"),
        ("nice", "nice -j 8"),
    ],
)
def test_jobs_go_where_the_build_tool_takes_them(line: str, expected: str) -> None:
    assert placed(line) == PlacedCommand(tuple(shlex.split(expected)))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("./build --workers={jobs} all", "./build --workers=8 all"),
        ("sh -c 'make -j{jobs} && ninja -j {jobs}'", "sh -c 'make -j8 && ninja -j 8'"),
        ("make -j {jobs}", "make -j 8"),
    ],
)
def test_a_placeholder_is_replaced_and_nothing_is_added(line: str, expected: str) -> None:
    assert placed(line) == PlacedCommand(tuple(shlex.split(expected)))


@pytest.mark.parametrize(
    ("line", "given_as"),
    [
        ("make -j4", "-j4"),
        ("make -j 4 all", "-j 4"),
        ("make -j all", "-j"),
        ("make all --jobs=4", "--jobs=4"),
        ("make --jobs 4", "--jobs 4"),
        ("make -kj4", "-kj4"),
        ("ninja -j1", "-j1"),
        ("cmake --build out --parallel 3", "--parallel 3"),
        ("cmake --build out --parallel", "--parallel"),
        ("cmake --build out -- -j3", "-j3"),
        ("nice make -j4", "-j4"),
        ("sh -c 'make -j4'", "-j4"),
        ("sh build.sh -j4", "-j4"),
    ],
)
def test_the_users_own_number_stays_and_is_named(line: str, given_as: str) -> None:
    result = placed(line)
    assert result.argv == tuple(shlex.split(line))
    assert not result.environment
    assert f"'{given_as}'" in (result.note or "")


@pytest.mark.parametrize(
    "line",
    [
        "cmake -S . -B out",
        "cmake --install out",
        "meson setup out",
        "meson test",
        "ninja -t compdb",
        "ninja -C o -tclean",
    ],
)
def test_what_takes_no_jobs_is_left_alone_and_said_so(line: str) -> None:
    result = placed(line)
    assert result.argv == tuple(shlex.split(line))
    assert "takes no -j" in (result.note or "")


@pytest.mark.parametrize(
    "line", ["sh -c 'make all'", "bash -ec 'cd x; make'", "nice bash -o pipefail -c make", "bash --norc -c make"]
)
def test_a_shell_script_is_not_touched_and_make_learns_from_the_environment(line: str) -> None:
    result = placed(line)
    assert result.argv == tuple(shlex.split(line))
    assert result.environment == {"MAKEFLAGS": "-j8", "CMAKE_BUILD_PARALLEL_LEVEL": "8"}
    assert "{jobs}" in (result.note or "")


def test_makeflags_of_the_user_are_kept() -> None:
    assert placed("sh -c make", MAKEFLAGS="k").environment["MAKEFLAGS"] == "k -j8"
    assert "MAKEFLAGS" not in placed("sh -c make", MAKEFLAGS="-j3 --jobserver-auth=3,4").environment


@pytest.mark.parametrize(
    ("argv", "place"),
    [
        (["make"], BuildPlace(".", True)),
        (["nice", "make", "-C", "sub", "-j4"], BuildPlace("./sub", True)),
        (
            ["make", "-Csub", "--directory=below", "-f", "a.mk", "--file=b.mk"],
            BuildPlace("./sub/below", True, ("a.mk", "b.mk")),
        ),
        (["make", "-C", "/abs"], BuildPlace("/abs", True)),
        (["ninja", "-C", "build"], BuildPlace("./build")),
        (["cmake", "--build", "build", "--", "-k"], BuildPlace("build")),
        (["meson", "compile", "-C", "build"], BuildPlace("./build")),
        (["cmake", "-S", ".", "-B", "build"], None),
        (["sh", "-c", "make"], None),
        (["make", "-C"], BuildPlace(".", True)),
    ],
)
def test_where_a_build_tool_works(argv: list[str], place: BuildPlace | None) -> None:
    assert build_place(argv) == place
