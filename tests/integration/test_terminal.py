"""The build on a real terminal: Ctrl-C, Ctrl-Z, typed input, and a terminal that goes away."""

from __future__ import annotations

from tests.integration.sandbox import DISTCC_AUTO, Sandbox, wait_until
from tests.integration.terminal import Terminal

# It takes a moment to end when it is told to.
_COUNTING = """\
all: ; @trap 'echo told >> told' INT; touch started; while ! test -e told; do sleep 0.05; done; sleep 0.2; exit 1
"""
_LONG = "all: one two\none two: ; @touch started-$@; sh -c 'sleep 1000; true'\n"
_IGNORING = "all: ; @trap '' INT HUP TERM; touch started; while :; do sleep 0.2; done\n"
_WAITING = "all: ; @touch started; while ! test -e go; do sleep 0.05; done\n"


def _run_to(sandbox: Sandbox, terminal: Terminal, makefile: str, *started: str) -> None:
    """Starts `distcc-auto make` in the terminal's shell, and waits until its recipes run."""
    sandbox.write("Makefile", makefile)
    terminal.type(f"{DISTCC_AUTO} make; echo status=$?\n")
    for name in started:
        wait_until((sandbox.work / name).exists, f"the recipe that makes {name}")


def test_ctrl_c_ends_the_build(cluster: Sandbox) -> None:
    with Terminal(cluster) as terminal:
        _run_to(cluster, terminal, _LONG, "started-one", "started-two")
        terminal.type("\x03")
        terminal.expect("ending the build")
        terminal.expect("$ ")
        terminal.type("echo ended=$?\n")
        terminal.expect("ended=130")
        left = [process for process in cluster.processes() if not process.startswith(f"{terminal.pid}:")]
        assert left == []


def test_ctrl_c_reaches_the_build_once(cluster: Sandbox) -> None:
    """The terminal has told the build already; told twice, make would not clean up."""
    with Terminal(cluster) as terminal:
        _run_to(cluster, terminal, _COUNTING, "started")
        terminal.type("\x03")
        terminal.expect("ending the build")
        terminal.expect("$ ")
        terminal.type("echo ended=$?\n")
        terminal.expect("ended=130")
    assert (cluster.work / "told").read_text() == "told\n"


def test_ctrl_c_ends_the_script_around_the_build(cluster: Sandbox) -> None:
    """As it does with make alone: bash goes on with a script unless the signal itself ended the command."""
    cluster.write("script", f"#!/bin/bash\n{DISTCC_AUTO} make\ntouch went-on\n", executable=True)
    with Terminal(cluster) as terminal:
        cluster.write("Makefile", _LONG)
        terminal.type("./script; echo status=$?\n")
        wait_until((cluster.work / "started-two").exists, "the recipe to run")
        terminal.type("\x03")
        terminal.expect("ending the build")
        terminal.expect("$ ")
    assert not (cluster.work / "went-on").exists()


def test_ctrl_c_kills_a_build_that_ignores_it(cluster: Sandbox) -> None:
    with Terminal(cluster) as terminal:
        _run_to(cluster, terminal, _IGNORING, "started")
        terminal.type("\x03")
        terminal.expect("ending the build")
        terminal.type("\x03")
        terminal.expect("$ ")
        terminal.type("echo ended=$?\n")
        terminal.expect("ended=130")
        assert [process for process in cluster.processes() if "make" in process] == []


def test_terminal_that_goes_away_ends_the_build_in_a_shell(cluster: Sandbox) -> None:
    with Terminal(cluster) as terminal:
        _run_to(cluster, terminal, _LONG, "started-one", "started-two")
        terminal.hang_up()
        wait_until(lambda: not cluster.processes(), lambda: f"the end of {cluster.processes()}")


def test_terminal_that_goes_away_ends_a_build_that_ignores_it(cluster: Sandbox) -> None:
    cluster.write("Makefile", _IGNORING)
    with Terminal(cluster, (DISTCC_AUTO, "make")) as terminal:
        wait_until((cluster.work / "started").exists, "the recipe to run")
        terminal.hang_up()
        wait_until(lambda: not cluster.processes(), lambda: f"the end of {cluster.processes()}")


def test_ctrl_z_stops_the_build_and_fg_goes_on(cluster: Sandbox) -> None:
    with Terminal(cluster) as terminal:
        _run_to(cluster, terminal, _WAITING, "started")
        terminal.type("\x1a")
        terminal.expect("Stopped")
        (cluster.work / "go").touch()
        terminal.type("fg; echo resumed=$?\n")
        terminal.expect("\nresumed=0")


def test_typed_text_reaches_the_build(cluster: Sandbox) -> None:
    with Terminal(cluster) as terminal:
        _run_to(cluster, terminal, "all: ; @touch started; read word; echo got-$$word\n", "started")
        terminal.type("this\n")
        terminal.expect("\ngot-this")
        terminal.expect("\nstatus=0")
