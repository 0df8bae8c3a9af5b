"""tests/unit mirrors the packages: a test file is named after its module, and modules without one are listed here."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
UNIT = ROOT / "tests" / "unit"
# Folder of tests/unit -> folder whose modules it tests.
MIRRORED = {
    "distcc_common": ROOT / "driver" / "distcc_common",
    "distcc_auto": ROOT / "driver" / "distcc_auto",
    "distplusplus": ROOT / "driver" / "distplusplus",
    "launcher": ROOT / "driver" / "launcher",
    "provisioning": ROOT / "provisioning",
    "images/distcc_worker": ROOT / "images" / "distccd" / "distcc_worker",
    "images": ROOT / "images",
}
# These test what is no module: a page, a property of several modules, a header, a script.
NOT_OF_A_MODULE = {
    "distplusplus/agent/agent_docs",
    "distplusplus/compiler/as_before",
    "distplusplus/server/server_docs",
    "docs",
    "images/files",
    "imports",
    "launcher/header",
    "mirror",
    "provisioning/quoting",
    "tools/install_docker",
}
# These start processes, connect, or put others together: what they do is tested with real programs.
TESTED_BY_RUNNING = {
    "tests/integration": """
        distcc_auto/build/process distcc_auto/commands/hosts distcc_auto/demo/loopback distcc_auto/parser
        distcc_auto/probe distcc_auto/reach/open distcc_auto/distplusplus/server/main
    """,
    "tests/integration/tunnels": """
        distcc_auto/reach/ssh/keeper distcc_auto/reach/ssh/prompts distcc_auto/reach/ssh/tunnel
        distcc_auto/reach/ssh/tunnels
    """,
    "tests/integration/agent": """
        distplusplus/agent/__main__ distplusplus/agent/agent distplusplus/agent/local_compile
        distplusplus/agent/local_compilers distplusplus/agent/remote_compile distplusplus/agent/runtime
        distplusplus/agent/servers/compile_request distplusplus/agent/servers/grpc_connection
        distplusplus/agent/servers/grpc_worker distplusplus/bridge/__main__ distplusplus/bridge/bridged_worker
        distplusplus/bridge/control distplusplus/bridge/job distplusplus/agent/headers/header_jobs
        distplusplus/agent/explain_command
        distplusplus/agent/servers/remote_worker
    """,
    "tests/integration/server": """
        distplusplus/server/check distplusplus/server/compile distplusplus/server/compilers
        distplusplus/server/memory distplusplus/server/metrics distplusplus/server/privileges distplusplus/server/rpc
        distplusplus/server/serve distplusplus/server/tls
        distplusplus/server/warden distplusplus/server/header_runner
    """,
    "tests/cluster and tests/provisioning": """
        images/distcc_worker/__main__ provisioning/deploy provisioning/prove provisioning/provision
        provisioning/remove provisioning/tasks
    """,
    # Values and protocols without code of their own, and what the tests of their neighbours use.
    "the unit tests beside them": """
        distcc_auto/answers distcc_auto/reach/protocol distcc_common/errors distplusplus/agent/servers/fake_worker
        distplusplus/compiler/identity_cache distplusplus/protocol/generate distplusplus/compiler/parsed_command
    """,
}


def modules() -> set[str]:
    found = set()
    for name, folder in MIRRORED.items():
        for path in folder.rglob("*.py"):
            below = path.relative_to(folder).with_suffix("").as_posix()
            # distccd/distcc_worker is mirrored by itself.
            if path.name != "__init__.py" and not below.startswith("distccd/"):
                found.add(f"{name}/{below}")
    return found


def with_a_test() -> set[str]:
    paths = [path.relative_to(UNIT) for path in UNIT.rglob("test_*.py")]
    return {(path.parent / path.stem.removeprefix("test_")).as_posix() for path in paths}


def test_every_test_file_is_of_a_module() -> None:
    assert sorted(with_a_test() - modules()) == sorted(NOT_OF_A_MODULE)


def test_the_modules_without_a_test_of_their_name_are_known() -> None:
    known = {module for group in TESTED_BY_RUNNING.values() for module in group.split()}
    untested = {module for module in modules() - with_a_test() if not module.endswith("/__main__")}
    assert sorted(untested - known) == [], "write a unit test of that name, or list the module here"
    assert sorted(known - modules()) == [], "there is no such module any more"
    assert sorted(known & with_a_test()) == [], "it has a test of its name now"
