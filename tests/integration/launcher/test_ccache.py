"""ccache and links to the launcher: never an object of a compiler that is not there any more."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.integration.agent.home import BINARIES, LAUNCHER, PATH, Home

# Compiles with the machine's gcc, and adds a line to the object that says which compiler made it.
_COMPILER = """\
#!/bin/sh
if [ "$*" = -v ]; then echo version {version}; exit; fi
/usr/bin/gcc "$@" || exit
case " $* " in
*" -c "*) while [ "$1" != -o ]; do shift; done; echo made by {version} >>"$2" ;;
esac
"""


class Toolchain:
    """A compiler that is replaced, with links to the launcher before it in PATH."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.links, self.programs = home.work.parent / "links", home.work.parent / "programs"
        for directory in (self.links, self.programs):
            directory.mkdir()
        for name in ("gcc", "cc"):
            (self.links / name).symlink_to(LAUNCHER)
        self.path = f"{self.links}:{self.programs}:{PATH}"
        self.install("the first one")
        home.write("a.c", "int x;\n")

    def install(self, version: str) -> None:
        for name in ("gcc", "cc"):
            (self.programs / name).unlink(missing_ok=True)
            (self.programs / name).write_text(_COMPILER.format(version=version))
            (self.programs / name).chmod(0o755)

    def compile(self, *command: str, **environ: str) -> subprocess.CompletedProcess[str]:
        (self.home.work / "a.o").unlink(missing_ok=True)
        return self.home.run(*command, PATH=self.path, **environ)

    def made_by(self, path: str = "a.o") -> str:
        return (self.home.work / path).read_bytes().rpartition(b"made by ")[2].decode().strip()

    def hits(self) -> int:
        """How many compiles ccache has answered by itself."""
        told = self.home.run("ccache", "--print-stats").stdout
        counts = dict(line.split("\t") for line in told.splitlines())
        return int(counts["direct_cache_hit"]) + int(counts["preprocessed_cache_hit"])


@pytest.fixture
def toolchain(alone: Home) -> Toolchain:
    return Toolchain(alone)


COMMAND = ("ccache", "gcc", "-c", "a.c", "-o", "a.o")


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"CCACHE_NODIRECT": "1"},
        {"CCACHE_PREFIX": LAUNCHER},
        {"CCACHE_COMPILERCHECK": "content"},
        {"CCACHE_COMPILERCHECK": "%compiler% -v"},
    ],
    ids=str,
)
def test_a_new_compiler_makes_new_objects(toolchain: Toolchain, settings: dict[str, str]) -> None:
    for version in ("the first one", "another"):
        toolchain.install(version)
        for _ in range(2):
            done = toolchain.compile(*COMMAND, **settings)
            assert done.returncode == 0, done
            assert toolchain.made_by() == version
    # Only one that asks for the version can keep objects.
    assert toolchain.hits() == (2 if "%compiler%" in settings.get("CCACHE_COMPILERCHECK", "") else 0)


def test_without_a_preprocessor_run_it_says_what_to_do(toolchain: Toolchain) -> None:
    done = toolchain.compile(*COMMAND, "-MMD", CCACHE_DEPEND="1")
    assert done.returncode == 1
    assert f"ccache takes {toolchain.links}/gcc for the compiler" in done.stderr
    assert "CCACHE_PREFIX=distplusplus" in done.stderr
    assert not (toolchain.home.work / "a.o").exists()


def test_a_check_in_ccache_conf_does_not_break_it(toolchain: Toolchain) -> None:
    """The launcher does not see it, so nothing is kept; but ccache must be able to ask."""
    directory = Path(toolchain.home.environ["CCACHE_DIR"])
    directory.mkdir()
    (directory / "ccache.conf").write_text("compiler_check = %compiler% -v\n")
    done = toolchain.compile(*COMMAND)
    assert (done.returncode, toolchain.made_by()) == (0, "the first one"), done


def test_ccache_before_our_links(toolchain: Toolchain) -> None:
    masquerade = toolchain.home.work.parent / "ccache-links"
    masquerade.mkdir()
    (masquerade / "gcc").symlink_to("/usr/bin/ccache")
    toolchain.path = f"{masquerade}:{toolchain.path}"
    for version in ("the first one", "another"):
        toolchain.install(version)
        assert toolchain.compile("gcc", "-c", "a.c", "-o", "a.o").returncode == 0
        assert toolchain.made_by() == version


@pytest.mark.parametrize("links", [False, True], ids=["no links", "links"])
def test_ccache_with_the_launcher_as_its_prefix_keeps_objects(toolchain: Toolchain, links: bool) -> None:
    """As documented: ccache does not see the links."""
    without = f"{toolchain.programs}:{PATH}"
    settings = {"CCACHE_PREFIX": "distplusplus"} | ({"CCACHE_PATH": without} if links else {})
    toolchain.path = toolchain.path if links else without
    for version in ("the first one", "another"):
        toolchain.install(version)
        for _ in range(2):
            assert toolchain.compile(*COMMAND, **settings).returncode == 0
            assert toolchain.made_by() == version
    assert toolchain.hits() == 2
    assert "local: " in toolchain.home.log  # the agent was asked


def test_who_makes_links_is_told_about_ccache(alone: Home) -> None:
    done = alone.run(LAUNCHER, "--install-symlinks", "links")
    assert 'For ccache: export CCACHE_PREFIX=distplusplus CCACHE_PATH="$PATH"' in done.stdout


def test_meson_takes_ccache_by_itself(toolchain: Toolchain) -> None:
    toolchain.home.write("meson.build", "project('p', 'c')\nexecutable('p', 'm.c')\n")
    toolchain.home.write("m.c", "int main(void) { return 0; }\n")
    done = toolchain.compile(str(BINARIES / "meson"), "setup", "build")
    assert done.returncode == 0, done
    assert "ccache cc" in done.stdout
    for version in ("the first one", "another"):
        toolchain.install(version)
        os.utime(toolchain.home.work / "m.c")
        done = toolchain.compile("ninja", "-C", "build")
        assert done.returncode == 0, done
        assert toolchain.made_by("build/p.p/m.c.o") == version
