"""The client's pages and its code say the same."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from distplusplus.agent import agent_settings

DOCS = Path(__file__).resolve().parents[4] / "docs"
MAN_PAGES = [DOCS / "man" / name for name in ("distplusplus.1", "distplusplus.toml.5")]


def test_the_man_page_has_every_key_and_no_other() -> None:
    keys = re.findall(r"^\.It Cm ([a-z-]+)$", MAN_PAGES[1].read_text(), re.MULTILINE)
    assert keys == list(agent_settings.known_keys())


def test_the_example_of_a_file_is_understood(tmp_path: Path) -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", (DOCS / "distplusplus.md").read_text(), re.DOTALL)
    file = tmp_path / "distplusplus.toml"
    file.write_text(example)
    loaded = agent_settings.load({"DISTPLUSPLUS_SYSTEM_CONFIG": str(file)})
    assert [server.target for server in loaded.servers] == [
        "localhost:3634",
        "unix:/run/distplusplus.sock",
        "worker-1:3634",
    ]
    assert loaded == agent_settings.AgentSettings(servers=loaded.servers)


@pytest.mark.parametrize("page", MAN_PAGES, ids=lambda page: page.name)
def test_man_pages_are_without_errors(page: Path) -> None:
    done = subprocess.run(
        ["man", "--warnings", "-l", str(page)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_page_on_one_compile_names_files_and_functions_that_exist() -> None:
    text = (DOCS / "one-compile.md").read_text()
    stops = re.findall(r"^(\d+)\. (.*?)(?=^\d+\. |^$)", text, re.MULTILINE | re.DOTALL)
    assert [int(number) for number, _ in stops] == list(range(1, 13))
    for number, stop in stops:
        files = re.findall(r"(?:`(\w+)` in\s+)?\[[\w.]+\]\(([^)]+)\)", stop)
        assert files, f"stop {number} names no file"
        for function, link in files:
            source = (DOCS / link).read_text()
            assert re.search(rf"\b{function}\b", source), f"stop {number}: {link} has no {function}"
