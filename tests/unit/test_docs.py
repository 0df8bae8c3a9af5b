"""What the documentation says and the code knows must be the same: whoever changes one is told about the other."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from distcc_auto import cli, inventory, parser, settings
from distcc_auto.answers import Phase, Ready, Refused
from distcc_auto.build import command
from distcc_auto.build.environment import Environment, for_distcc
from distcc_auto.hosts import TcpHost, parse_hosts
from distcc_auto.plan import make_plan, worker_slots
from distcc_auto.show import documents, explain
from distcc_auto.stats import WorkerStats
from distcc_auto.survey import Survey
from distcc_common import addresses, errors, limits
from distcc_common.errors import ConfigurationError
from distcc_common.limits import MemoryLimit

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PACKAGE = ROOT / "driver" / "distcc_auto"
MAN_PAGE = DOCS / "man" / "distcc-auto.1"
PAGES = sorted([ROOT / "README.md", ROOT / "SECURITY.md", *DOCS.glob("*.md")])
VARIABLES = [settings.PREFIX + key for key in settings._KEYS]


def _help(capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as exit_:
        parser.parse_driver(["--help"])
    assert exit_.value.code == 0
    return capsys.readouterr().out


def _rows(page: Path, columns: int) -> list[list[str]]:
    """The rows of all Markdown tables of `page` that have that many columns, without their headings."""
    rows = [
        [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip()[1:-1])]
        for line in page.read_text().splitlines()
        if line.startswith("|")
    ]
    headings = [index - 1 for index, row in enumerate(rows) if set("".join(row)) <= set("-:")]
    dropped = {number for index in headings for number in (index, index + 1)}
    return [row for index, row in enumerate(rows) if index not in dropped and len(row) == columns]


def _code(cell: str) -> str:
    return cell.strip("`")


def _man_words() -> str:
    """The man page's text without mdoc's requests, flags as the user types them."""
    text = re.sub(r"\bFl -", "--", MAN_PAGE.read_text())
    return text.replace("Fl ", "-")


# --- variables and options


@pytest.mark.parametrize("name", [*VARIABLES, "DCCSH_DEBUG"])
def test_every_variable_is_documented(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert f"`{name}`" in (DOCS / "variables.md").read_text()
    assert re.search(rf"^\.It Ev {name}$", MAN_PAGE.read_text(), re.MULTILINE)
    assert re.search(rf"\b{name}\b", _help(capsys))
    assert name in (PACKAGE / "shells" / "distcc.sh").read_text()


@pytest.mark.parametrize("page", [*PAGES, MAN_PAGE], ids=lambda page: page.name)
def test_no_variable_is_documented_that_does_not_exist(page: Path) -> None:
    named = set(re.findall(rf"\b{settings.PREFIX}[A-Z_]*[A-Z]\b", page.read_text()))
    assert named <= {*VARIABLES, inventory.VARIABLE}


def test_the_defaults_and_keys_of_the_variables_are_those_of_the_code(tmp_path: Path) -> None:
    loaded = settings.load({"DISTCC_AUTO_HOSTS": "worker-1"}, str(tmp_path / "none.toml"))
    cpus = limits.cpus().cpus
    in_force = {
        "DISTCC_AUTO_COMPILER_MEMORY": loaded.compiler_memory_mib,
        "DISTCC_AUTO_EARLY_LOCAL_JOBS": loaded.early_local_jobs,
        "DISTCC_AUTO_FALLBACK_LOCAL_JOBS": loaded.fallback_local_jobs,
        "DISTCC_AUTO_PREPROCESSOR_SATURATION_JOBS": loaded.saturation_jobs,
        "DISTCC_AUTO_CONNECT_TIMEOUT": loaded.connect_timeout_s,
        "DISTCC_AUTO_ANSWER_TIMEOUT": loaded.answer_timeout_s,
        "DISTCC_AUTO_TUNNEL_TIMEOUT": loaded.tunnel_timeout_s,
    }
    rows = {_code(row[0]): row for row in _rows(DOCS / "variables.md", 5)}
    assert rows.keys() == set(VARIABLES)
    for name, value in in_force.items():
        _, key, _, default, values = rows[name]
        assert _code(key) == name.removeprefix(settings.PREFIX).lower()
        assert (cpus if default == "CPUs" else float(default)) == value
        beyond = int(re.findall(r"\d+", values)[-1]) + 1
        with pytest.raises(ConfigurationError, match=str(beyond)):
            settings.load({"DISTCC_AUTO_HOSTS": "worker-1", name: str(beyond)}, str(tmp_path / "none.toml"))


def test_the_example_of_a_configuration_file_is_accepted(tmp_path: Path) -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", (DOCS / "variables.md").read_text(), re.DOTALL)
    file = tmp_path / "config.toml"
    file.write_text(example)
    loaded = settings.load({}, str(file))
    assert [host.text for host in loaded.hosts] == ["worker-1", "worker-2:3632:3633"]
    assert (loaded.compiler_memory_mib, loaded.early_local_jobs, loaded.connect_timeout_s) == (2048, 2, 1.5)


def test_the_man_page_has_every_option_and_sub_command(capsys: pytest.CaptureFixture[str]) -> None:
    known = set(re.findall(r"^  (?:-h, )?(--[a-z-]+)", _help(capsys), re.MULTILINE))
    assert {"--help", "--dry-run"} <= known
    assert set(re.findall(r"^\.It (--[a-z-]+)", _man_words(), re.MULTILINE)) == known
    assert set(re.findall(r"^\.It Cm ([a-z-]+)", MAN_PAGE.read_text(), re.MULTILINE)) == set(cli.SUBCOMMANDS)


def test_help_has_every_sub_command(capsys: pytest.CaptureFixture[str]) -> None:
    text = _help(capsys)
    for name in cli.SUBCOMMANDS:
        assert re.search(rf"^  {name}\b", text, re.MULTILINE)


# --- exit statuses


@pytest.mark.parametrize("status", [value for name, value in vars(errors).items() if name.startswith("EXIT_")])
def test_every_exit_status_is_documented(status: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert str(status) in [row[0] for row in _rows(DOCS / "exit-codes.md", 2)]
    assert re.search(rf"^\.It {status}$", MAN_PAGE.read_text(), re.MULTILINE)
    assert re.search(rf"\b{status}\b", _help(capsys).partition("exit status:")[2])


def test_every_sub_command_has_its_exit_statuses() -> None:
    documented = "\n".join(row[0] for row in _rows(DOCS / "exit-codes.md", 2))
    for name in cli.SUBCOMMANDS:
        assert f"`distcc-auto {name}" in documented


# --- JSON


def _json_document(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    """What --dry-run --json shows for one worker that takes jobs and one that does not."""
    host = TcpHost("worker-1", text="worker-1")
    ready = worker_slots(Ready(host, WorkerStats(4), 0.001), 1024)
    assert not isinstance(ready, Refused)
    loaded = settings.load({"DISTCC_AUTO_HOSTS": "worker-1"}, "/nonexistent")
    survey = Survey((ready,), (Refused(host, Phase.CONNECT, "cause", "remedy"),))
    explain.show(
        survey,
        make_plan(survey.workers, loaded, MemoryLimit(8192, "MemAvailable")),
        command.place_jobs(["make"], 6, {}),
        Environment({}, ()),
        with_reasons=False,
        as_json=True,
    )
    document = json.loads(capsys.readouterr().out)
    assert isinstance(document, dict)
    return document


def _shape(document: dict[str, object]) -> dict[str, set[str]]:
    """Where -> the keys of the objects there."""
    objects: dict[str, list[object]] = {"": [document], "plan": [document["plan"]], "command": [document["command"]]}
    hosts = document["hosts"]
    assert isinstance(hosts, list)
    shape = {}
    for where, found in (objects | {"hosts": hosts}).items():
        keys = {frozenset(entry) for entry in found if isinstance(entry, dict)}
        assert len(keys) == 1, f"objects of different keys in '{where}'"
        shape[where] = set(keys.pop())
    return shape


def test_every_json_key_is_documented_and_no_other(capsys: pytest.CaptureFixture[str]) -> None:
    page = DOCS / "json.md"
    known = [key for keys in _shape(_json_document(capsys)).values() for key in keys]
    assert sorted(_code(row[0]) for row in _rows(page, 3)) == sorted(known)
    assert f"| `version` | number | {documents.JSON_VERSION}." in page.read_text()


def test_every_phase_is_documented_and_no_other() -> None:
    (row,) = [row for row in _rows(DOCS / "json.md", 3) if row[0] == "`phase`"]
    assert set(re.findall(r"`(\w+)`", row[2])) == {phase.value for phase in Phase}


def test_the_json_example_has_the_keys_of_real_output(capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = re.findall(r"```json\n(.*?)```", (DOCS / "json.md").read_text(), re.DOTALL)
    assert _shape(json.loads(example)) == _shape(_json_document(capsys))


# --- tables that are run


@pytest.mark.parametrize("row", _rows(DOCS / "commands.md", 2), ids=lambda row: row[0])
def test_the_build_commands_become_what_the_table_says(row: list[str]) -> None:
    given, expected = (shlex.split(_code(cell)) for cell in row)
    assert list(command.place_jobs(given, 13, {}).argv) == expected


def test_the_dry_run_of_the_readme_is_what_the_code_prints(capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / "README.md").read_text()
    (shown,) = re.findall(r"^\$ distcc-auto --dry-run make my_target\n(.*)$", text, re.MULTILINE)
    environ = {"DISTCC_AUTO_HOSTS": "worker-1 worker-2", "DISTCC_AUTO_PREPROCESSOR_SATURATION_JOBS": "8"}
    loaded = settings.load(environ, "/nonexistent")
    workers = [
        worker_slots(Ready(host, WorkerStats(offered), 0.001), 1024)
        for host, offered in zip(loaded.hosts, (16, 8), strict=True)
        if isinstance(host, TcpHost)
    ]
    ready = tuple(worker for worker in workers if not isinstance(worker, Refused))
    plan = make_plan(ready, loaded, MemoryLimit(8192, "MemAvailable"))
    placed = command.place_jobs(["make", "my_target"], plan.jobs, {})
    changes = for_distcc(plan, placed, {"DISTCC_AUTO_HOSTS": environ["DISTCC_AUTO_HOSTS"]})
    explain.show(Survey(ready, ()), plan, placed, changes, with_reasons=False, as_json=False)
    assert capsys.readouterr().out == f"{shown}\n"


@pytest.mark.parametrize("name", sorted([*command._WRAPPERS, *command._SHELLS]))
def test_every_known_wrapper_and_shell_is_documented(name: str) -> None:
    assert f"`{name}`" in (DOCS / "commands.md").read_text()


@pytest.mark.parametrize("row", _rows(DOCS / "hosts.md", 3)[5:], ids=lambda row: row[0])
def test_the_host_entries_mean_what_the_table_says(row: list[str]) -> None:
    entry, jobs, statistics = map(_code, row)
    (host,) = parse_hosts(entry)
    assert isinstance(host, TcpHost)
    assert (host.distcc_address, addresses.join(host.hostname, host.stats_port)) == (jobs, statistics)


@pytest.mark.parametrize("row", _rows(DOCS / "hosts.md", 2), ids=lambda row: row[0])
def test_the_wrong_host_entries_are_refused_as_the_table_says(row: list[str]) -> None:
    entry, message = row
    with pytest.raises(ConfigurationError, match=re.escape(message)):
        parse_hosts(_code(entry))


# --- the pages themselves


def _anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^a-z0-9 _-]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_internal_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        if re.match(r"[a-z]+://", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        assert not anchor or anchor in _anchors(file), target


def test_the_first_screen_of_the_readme_has_the_commands() -> None:
    first_screen = "\n".join((ROOT / "README.md").read_text().splitlines()[:45])
    for wanted in ("\nmake demo ", "\nmake test ", "export DISTCC_AUTO_HOSTS=", "shell-init bash", "distcc-auto make"):
        assert wanted in first_screen


def test_every_make_target_that_the_readme_names_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"^make ([a-z]+) +#|`make ([a-z]+)`", (ROOT / "README.md").read_text(), re.MULTILINE))
    assert {first or second for first, second in named} <= targets


def test_the_architecture_page_names_the_files_that_exist() -> None:
    text = (DOCS / "architecture.md").read_text()
    assert len(text.splitlines()) <= 60
    driver = ROOT / "driver"
    folders = {str(path.parent.relative_to(driver)) for path in driver.rglob("__init__.py")}
    top = {folder for folder in folders if folder.count("/") < 2}
    missing = {folder for folder in top if f"`{folder}/`" not in text and f"`{folder.rpartition('/')[2]}/`" not in text}
    assert missing <= {"distcc_auto/distplusplus", "distplusplus"}
    named = re.findall(r"`((?:distcc_auto|distcc_common|distplusplus)[a-z_/]*/)`", text)
    assert named
    assert [name for name in named if not (driver / name).is_dir()] == []


def test_the_man_page_renders_without_a_warning() -> None:
    environ = {"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin", "MANWIDTH": "80"}
    shown = subprocess.run(
        ["man", "--warnings=w", "--local-file", MAN_PAGE], env=environ, capture_output=True, text=True, check=True
    )
    assert shown.stderr == ""
    assert "DISTCC-AUTO(1)" in shown.stdout
