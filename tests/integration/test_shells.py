"""The function distcc_build in real shells, over real workers."""

from __future__ import annotations

import json
import shlex
import subprocess
import sysconfig
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

import distcc_auto
from distcc_auto.demo.loopback import LoopbackWorker, free_ports

SHELL_FILES = Path(distcc_auto.__file__).parent / "shells"
SCRIPTS = Path(sysconfig.get_path("scripts"))
SYSTEM_PATH = "/usr/bin:/bin"
# Besides plain words: empty, white space, what shells expand or take away.
HARD_ARGUMENTS = ("", " a  b ", "it's", '"', "$HOME", "*", "~", "\\", "a;b&c|d", "`x`", "ünï", "line\nbreak", "-", "#")


@dataclass(frozen=True)
class Shell:
    """A shell, and how its language says what the tests need."""

    name: str
    file: str
    init: str | None
    strict: str = "set -eu"
    assignment: str = "{}={}"
    status: str = "$?"

    @property
    def source(self) -> str:
        return f"{self.strict}\n. {shlex.quote(str(SHELL_FILES / self.file))}\n"

    def assign(self, name: str, value: str) -> str:
        return self.assignment.format(name, shlex.quote(value)) + "\n"

    def run(self, script: str, environ: Mapping[str, str], directory: Path) -> subprocess.CompletedProcess[str]:
        command = [self.name, *(["--no-config"] if self.name == "fish" else []), "-c", script]
        return subprocess.run(command, env=environ, cwd=directory, capture_output=True, text=True, check=False)


SHELLS = (
    Shell("bash", "distcc.sh", 'eval "$({} shell-init bash)"'),
    Shell("dash", "distcc.sh", None),
    Shell("zsh", "distcc.zsh", 'eval "$({} shell-init zsh)"'),
    Shell("fish", "distcc.fish", "{} shell-init fish | source", strict="", assignment="set {} {}", status="$status"),
)
every_shell = pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: shell.name)


@pytest.fixture(scope="module")
def worker() -> Iterator[LoopbackWorker]:
    with LoopbackWorker(3) as started:
        yield started


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """A user with nothing configured, and distcc-auto in PATH."""
    home = tmp_path / "home"
    home.mkdir()
    return {
        "PATH": f"{SCRIPTS}:{SYSTEM_PATH}",
        "HOME": str(home),
        "DISTCC_DIR": str(home),
        "LC_ALL": "C.UTF-8",
    }


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A program of three C files; `foo` is its only target."""
    directory = tmp_path / "project"
    directory.mkdir()
    (directory / "Makefile").write_text("foo: a.o b.o main.o\n\t$(CC) -o $@ $^\n")
    (directory / "main.c").write_text("int a(void), b(void);\nint main(void) { return a() + b(); }\n")
    (directory / "a.c").write_text("int a(void) { return 40; }\n")
    (directory / "b.c").write_text("int b(void) { return 2; }\n")
    return directory


@every_shell
def test_a_build_with_its_hosts_in_front_runs_on_the_workers(
    shell: Shell, worker: LoopbackWorker, environ: dict[str, str], project: Path
) -> None:
    before = worker.jobs_done()
    done = shell.run(
        f"{shell.source}DISTCC_AUTO_HOSTS='{worker.spec} {worker.spec}' distcc_build make foo CC='distcc gcc'",
        environ | {"DISTCC_FALLBACK": "0"},
        project,
    )
    assert done.returncode == 0, done.stderr
    assert worker.jobs_done() - before == 3
    assert subprocess.run([project / "foo"], check=False).returncode == 42


@every_shell
def test_arguments_arrive_unchanged(
    shell: Shell, worker: LoopbackWorker, environ: dict[str, str], tmp_path: Path
) -> None:
    show = tmp_path / "show"
    show.write_text("#!/usr/bin/env python3\nimport json, sys\nprint(json.dumps(sys.argv[1:]))\n")
    show.chmod(0o755)
    words = " ".join(_quoted(shell, word) for word in HARD_ARGUMENTS)
    done = shell.run(
        f"{shell.source}distcc_build ./show {words}", environ | {"DISTCC_AUTO_HOSTS": worker.spec}, tmp_path
    )
    assert done.returncode == 0, done.stderr
    *arguments, option, _ = json.loads(done.stdout)
    assert (tuple(arguments), option) == (HARD_ARGUMENTS, "-j")


@every_shell
def test_settings_that_are_not_exported_count(
    shell: Shell, worker: LoopbackWorker, environ: dict[str, str], tmp_path: Path
) -> None:
    settings = {
        "DISTCC_AUTO_HOSTS": f"{worker.spec}\n\t{worker.spec}",
        "DISTCC_AUTO_EARLY_LOCAL_JOBS": "2",
        "DISTCC_AUTO_PREPROCESSOR_SATURATION_JOBS": "5",
        "DISTCC_AUTO_COMPILER_MEMORY": "0",
        "DCCSH_DEBUG": "1",
    }
    script = shell.source + "".join(shell.assign(name, value) for name, value in settings.items())
    done = shell.run(f"{script}distcc_build --dry-run --json make", environ, tmp_path)
    assert done.returncode == 0, done.stderr
    plan = json.loads(done.stdout)["plan"]
    assert (plan["jobs"], plan["remote_slots"], plan["local_jobs"], plan["saturation_jobs"]) == (10, 3, 2, 5)
    assert "asking 1 hosts" in done.stderr


@every_shell
def test_nothing_changes_in_the_calling_shell(
    shell: Shell, worker: LoopbackWorker, environ: dict[str, str], tmp_path: Path
) -> None:
    script = shell.source
    for name in ("program", "name", "settings"):
        script += shell.assign(name, f"my {name}")
    script += shell.assign("DISTCC_AUTO_EARLY_LOCAL_JOBS", "1") + shell.assign("DISTCC_AUTO_HOSTS", worker.spec)
    script += "env | sort > before\npwd >> before\ndistcc_build true\nenv | sort > after\npwd >> after\n"
    script += 'echo "$program, $name, $settings, $DISTCC_AUTO_EARLY_LOCAL_JOBS, $DISTCC_AUTO_HOSTS"'
    done = shell.run(script, environ, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"my program, my name, my settings, 1, {worker.spec}\n"
    after = (tmp_path / "after").read_text()
    assert after == (tmp_path / "before").read_text()
    assert "DISTCC_AUTO" not in after


@every_shell
def test_the_local_settings_of_a_function_count(
    shell: Shell, worker: LoopbackWorker, environ: dict[str, str], tmp_path: Path
) -> None:
    command = "distcc_build --dry-run --json make"
    if shell.name == "fish":
        function = f"function build\nset -l DISTCC_AUTO_EARLY_LOCAL_JOBS 4\n{command}\nend\n"
    else:
        function = f"build() {{\nlocal DISTCC_AUTO_EARLY_LOCAL_JOBS=4\n{command}\n}}\n"
    done = shell.run(f"{shell.source}{function}build", environ | {"DISTCC_AUTO_HOSTS": worker.spec}, tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["plan"]["local_jobs"] == 4


def test_the_hosts_can_be_a_list_of_fish(worker: LoopbackWorker, environ: dict[str, str], tmp_path: Path) -> None:
    (fish,) = (shell for shell in SHELLS if shell.name == "fish")
    hosts = f"set DISTCC_AUTO_HOSTS {worker.spec} {worker.address}:{worker.distcc_port}:1\n"
    done = fish.run(f"{fish.source}{hosts}distcc_build --explain --json make", environ, tmp_path)
    assert done.returncode == 0, done.stderr
    assert [host["state"] for host in json.loads(done.stdout)["hosts"]] == ["ready", "refused"]


@every_shell
@pytest.mark.parametrize(
    "case",
    [
        ({}, "true", 0),
        ({}, "sh -c 'exit 7'", 7),
        ({}, "sh -c 'kill -TERM $$'", 143),
        ({"DISTCC_AUTO_HOSTS": ""}, "true", 96),
        ({}, "", 96),
        ({"DISTCC_AUTO_HOSTS": "DEAD", "DISTCC_AUTO_FALLBACK_LOCAL_JOBS": "0"}, "true", 97),
        ({}, "no-such-command", 127),
    ],
)
def test_the_exit_status_is_that_of_distcc_auto(
    shell: Shell,
    case: tuple[dict[str, str], str, int],
    worker: LoopbackWorker,
    environ: dict[str, str],
    tmp_path: Path,
) -> None:
    settings, command, status = case
    (free_port,) = free_ports("127.0.0.1", 1)
    hosts = settings.get("DISTCC_AUTO_HOSTS", worker.spec).replace("DEAD", f"127.0.0.1:{free_port}:{free_port}")
    done = shell.run(
        f"{shell.source}distcc_build {command}", environ | settings | {"DISTCC_AUTO_HOSTS": hosts}, tmp_path
    )
    assert done.returncode == status, done.stderr


@every_shell
def test_a_failed_build_can_be_handled_in_a_strict_script(
    shell: Shell, worker: LoopbackWorker, environ: dict[str, str], tmp_path: Path
) -> None:
    script = f"{shell.source}distcc_build sh -c 'exit 5' || echo handled {shell.status}"
    done = shell.run(script, environ | {"DISTCC_AUTO_HOSTS": worker.spec}, tmp_path)
    assert done.stdout == "handled 5\n"


@every_shell
def test_without_distcc_auto_it_says_so(shell: Shell, environ: dict[str, str], tmp_path: Path) -> None:
    done = shell.run(
        f"{shell.source}distcc_build make || echo status {shell.status}", environ | {"PATH": SYSTEM_PATH}, tmp_path
    )
    assert done.stdout == "status 96\n"
    assert done.stderr == "distcc_build: distcc-auto is not found; install it, or add its directory to PATH\n"


@pytest.mark.parametrize("shell", [shell for shell in SHELLS if shell.init], ids=lambda shell: shell.name)
def test_shell_init_works_when_distcc_auto_is_not_in_path(
    shell: Shell, worker: LoopbackWorker, environ: dict[str, str], project: Path, tmp_path: Path
) -> None:
    scripts = tmp_path / "it's a \\ folder"
    scripts.symlink_to(SCRIPTS)
    assert shell.init
    init = shell.init.format(_quoted(shell, str(scripts / "distcc-auto")))
    done = shell.run(
        f"{shell.strict}\n{init}\ndistcc_build --report make foo CC='distcc gcc'",
        environ | {"PATH": SYSTEM_PATH, "DISTCC_AUTO_HOSTS": worker.spec},
        project,
    )
    assert done.returncode == 0, done.stderr
    assert f"{worker.spec} (3 slots): 3 jobs, 100 %" in done.stderr


@pytest.mark.parametrize(
    "check",
    [
        ["shellcheck", "distcc.sh"],
        ["bash", "-n", "distcc.sh"],
        ["dash", "-n", "distcc.sh"],
        ["zsh", "-n", "distcc.zsh"],
        ["fish", "--no-execute", "distcc.fish"],
    ],
    ids=lambda check: check[0],
)
def test_the_files_pass_their_checker(check: list[str]) -> None:
    done = subprocess.run(check, cwd=SHELL_FILES, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def _quoted(shell: Shell, word: str) -> str:
    """One word of the shell's language; within single quotes fish reads backslashes, too."""
    if shell.name == "fish":
        return "'" + word.replace("\\", "\\\\").replace("'", "\\'") + "'"
    return shlex.quote(word)
