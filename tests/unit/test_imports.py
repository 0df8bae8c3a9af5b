"""Who may import whom (docs/architecture.md): nothing imports upwards, and no modules import each other in a circle."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

DRIVER = Path(__file__).resolve().parents[2] / "driver"
PACKAGES = ("distcc_common", "distcc_auto", "distplusplus")

# Importing package or module -> what it must not import, at run time or for its types, anywhere in its code.
FORBIDDEN: Mapping[str, tuple[str, ...]] = {
    "distcc_common": ("distcc_auto", "distplusplus", "grpc", "google", "rich", "psutil"),
    "distcc_auto": ("distplusplus", "grpc", "google", "zstandard"),
    "distplusplus": ("distcc_auto",),
    "distplusplus.compiler": (
        *("distplusplus.agent", "distplusplus.server", "distplusplus.bridge", "distplusplus.protocol"),
        *("grpc", "google"),
    ),
    "distplusplus.protocol": ("distplusplus.agent", "distplusplus.server", "distplusplus.bridge"),
    "distplusplus.agent": ("distplusplus.server", "distplusplus.bridge"),
    "distplusplus.server": ("distplusplus.agent", "distplusplus.bridge"),
}


def modules() -> dict[str, Path]:
    """Every module of the three packages: its dotted name and its file."""
    found = {}
    for package in PACKAGES:
        for path in (DRIVER / package).rglob("*.py"):
            words = path.relative_to(DRIVER).with_suffix("").parts
            found[".".join(words[:-1] if words[-1] == "__init__" else words)] = path
    return found


MODULES = modules()


@cache
def tree(name: str) -> ast.Module:
    return ast.parse(MODULES[name].read_text())


def imported_by(node: ast.AST) -> Iterator[str]:
    """The modules that one statement imports, those of ours as precise as possible."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert not node.level, "imports are absolute"
        for alias in node.names:
            below = f"{node.module}.{alias.name}"
            yield below if below in MODULES else str(node.module)


def imports_anywhere(name: str) -> set[str]:
    return {module for node in ast.walk(tree(name)) for module in imported_by(node)}


def imports_when_loaded(name: str) -> set[str]:
    """What is imported as soon as the module is: not in its functions, and not for its types."""
    found: set[str] = set()
    waiting: list[ast.AST] = list(tree(name).body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting += node.orelse
            continue
        found.update(imported_by(node))
        waiting += ast.iter_child_nodes(node)
    # Importing a module loads the packages above it first.
    above = {".".join(each.split(".")[:end]) for each in found for end in range(1, each.count(".") + 1)}
    return {each for each in found | above if each in MODULES}


def loaded_with(name: str) -> set[str]:
    """All of our modules that are loaded by importing this one."""
    seen: set[str] = set()
    waiting = [name]
    while waiting:
        each = waiting.pop()
        if each not in seen:
            seen.add(each)
            waiting += imports_when_loaded(each)
    return seen - {name}


def is_below(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def test_the_packages_are_found() -> None:
    assert {"distcc_common.addresses", "distcc_auto.plan", "distplusplus.compiler.classify"} <= set(MODULES)


@pytest.mark.parametrize("package", FORBIDDEN)
def test_nothing_imports_what_it_must_not(package: str) -> None:
    wrong = {
        (name, imported)
        for name in MODULES
        if is_below(name, package)
        for imported in imports_anywhere(name)
        if any(is_below(imported, forbidden) for forbidden in FORBIDDEN[package])
    }
    assert sorted(wrong) == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    circles = []
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            circles.append(" -> ".join((*path[path.index(name) :], name)))
        elif name not in done:
            for imported in sorted(imports_when_loaded(name)):
                visit(imported, (*path, name))
            done.add(name)

    for name in sorted(MODULES):
        visit(name, ())
    assert circles == []


@pytest.mark.parametrize("name", ["distcc_auto.plan", "distcc_auto.build.command", "distcc_auto.build.environment"])
def test_what_is_pure_loads_nothing_that_asks_or_reads(name: str) -> None:
    does_io = {"distcc_auto.probe", "distcc_auto.settings", "distcc_common.limits", "distcc_common.config_files"}
    loaded = loaded_with(name)
    assert {each for each in loaded if each in does_io or is_below(each, "distcc_auto.reach")} == set()


def test_only_the_command_line_exits() -> None:
    """The demo ends by a signal's handler, and a child that is to be the keeper must not return."""
    allowed = {"distcc_auto.cli", "distcc_auto.commands.demo", "distcc_auto.reach.ssh.tunnels"}
    allowed |= {"distcc_auto.reach.ssh.ssh_process"}
    exiting = {
        name
        for name in MODULES
        if is_below(name, "distcc_auto") or is_below(name, "distcc_common")
        for node in ast.walk(tree(name))
        if isinstance(node, ast.Attribute) and ast.unparse(node) in ("sys.exit", "os._exit")
    }
    assert exiting <= allowed
