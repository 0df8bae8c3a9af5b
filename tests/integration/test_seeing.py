"""`hosts`, `--explain`, `--dry-run`, `--report`, `--verbose`, their JSON, and the configuration files."""

from __future__ import annotations

import contextlib
import json
import re
import sys

import pytest

from distcc_auto.demo.loopback import LoopbackWorker, free_ports
from tests.integration import fake_workers
from tests.integration.addresses import NOBODY
from tests.integration.fake_workers import FakePort, with_stats
from tests.integration.sandbox import DISTCC_AUTO, JobCount, Sandbox

_HOST_KEYS = {
    *("host", "kind", "state", "slots", "load", "free_memory_mib", "latency_ms", "phase", "reason", "remedy"),
}
_PLAN_KEYS = {
    *("jobs", "remote_slots", "local_jobs", "local_reason", "saturation_jobs", "distcc_hosts"),
}
_COMMAND_KEYS = {"argv", "environment", "removed_environment", "note"}


@pytest.fixture
def mixed(cluster: Sandbox) -> Sandbox:
    """A sandbox with the three workers and a host that refuses, as the second entry."""
    (port,) = free_ports(NOBODY, 1)
    first, *others = cluster.environ["DISTCC_AUTO_HOSTS"].split()
    cluster.environ["DISTCC_AUTO_HOSTS"] = " ".join([first, f"{NOBODY}:1:{port}", *others])
    cluster.environ["DISTCC_AUTO_PREPROCESSOR_SATURATION_JOBS"] = "3"
    return cluster


def test_hosts_shows_a_line_a_host(mixed: Sandbox, workers: list[LoopbackWorker]) -> None:
    done = mixed.distcc_auto("hosts")
    assert done.returncode == 0, done
    header, *lines = done.stdout.splitlines()
    assert re.split(r"  +", header.strip()) == [
        *("HOST", "KIND", "STATE", "SLOTS", "LOAD", "FREE MEMORY", "LATENCY", "REASON"),
    ]
    assert len(lines) == len(workers) + 1
    for worker in workers:
        (line,) = [line for line in lines if line.startswith(worker.spec)]
        assert re.search(
            rf" tcp +ready +{worker.slots} +\d+\.\d\d +- +\d+\.\d ms +it offers {worker.slots} *$", line
        ), line
    assert re.search(
        rf"^{re.escape(NOBODY)}:1:\d+ +tcp +refused +0 +- +- +- +connect: connection refused", lines[-1]
    ), lines[-1]


def test_hosts_without_a_worker_has_status_1(sandbox: Sandbox) -> None:
    (port,) = free_ports(NOBODY, 1)
    done = sandbox.distcc_auto("hosts", env={"DISTCC_AUTO_HOSTS": f"{NOBODY}:1:{port}"})
    assert (done.returncode, "refused" in done.stdout) == (1, True), done


def test_hosts_as_json(mixed: Sandbox, workers: list[LoopbackWorker]) -> None:
    document = mixed.json("hosts", "--json")
    assert set(document) == {"version", "hosts"}
    assert document["version"] == 1
    assert [set(host) for host in document["hosts"]] == [_HOST_KEYS] * (len(workers) + 1)
    *ready, refused = document["hosts"]
    assert ready[0]["host"] == workers[0].spec
    assert sorted((host["host"], host["slots"]) for host in ready) == [(w.spec, w.slots) for w in workers]
    assert all(host["state"] == "ready" and host["latency_ms"] > 0 and host["phase"] is None for host in ready)
    assert (refused["state"], refused["slots"], refused["phase"]) == ("refused", 0, "connect")
    assert refused["reason"]
    assert refused["remedy"]


def test_hosts_are_ordered_by_slots_then_load_then_memory(sandbox: Sandbox) -> None:
    replies = {
        "few-slots": with_stats(dcc_max_kids=1),
        "busy": with_stats(dcc_load1="4.0", dcc_load2="1.0", dcc_load3="1.0"),
        "little-memory": with_stats(dcc_free_mem="4096 MB"),
        "much-memory": with_stats(dcc_free_mem="9000 MB"),
    }
    with contextlib.ExitStack() as stack:
        ports = {name: stack.enter_context(FakePort(fake_workers.say(reply))) for name, reply in replies.items()}
        names = {port.spec(): name for name, port in ports.items()}
        document = sandbox.json("hosts", "--json", env={"DISTCC_AUTO_HOSTS": " ".join(names)})
    order = [names[host["host"]] for host in document["hosts"]]
    assert order == ["much-memory", "little-memory", "busy", "few-slots"]


def test_explain_tells_why_and_does_not_build(mixed: Sandbox, workers: list[LoopbackWorker]) -> None:
    done = mixed.distcc_auto("--explain", "touch", "built", env={"DISTCC_AUTO_EARLY_LOCAL_JOBS": "1"})
    assert done.returncode == 0, done
    for worker in workers:
        assert f"{worker.spec}: {worker.slots} slots: it offers {worker.slots}\n" in done.stdout
    assert re.search(rf"{re.escape(NOBODY)}:1:\d+: no slots: connect: connection refused", done.stdout)
    assert "-j 12 = 8 remote slots + 1 local jobs + 3 saturation jobs\n" in done.stdout
    assert not (mixed.work / "built").exists()
    # It needs no command.
    assert "-j 11 = 8 remote slots" in mixed.distcc_auto("--explain").stdout


def test_dry_run_prints_a_command_that_does_the_same(mixed: Sandbox) -> None:
    """A shell that runs the line gives the build the environment that `distcc-auto` gives it."""
    build = ["sh", "-c", "printf '%s\\n' \"$0\"; env | sort | grep -v ^_=", "it's {jobs} jobs"]
    env: dict[str, str | None] = {"DISTCC_HOSTS": "mine", "DISTCC_AUTO_COMPILER_MEMORY": "10"}
    line = mixed.distcc_auto("--dry-run", *build, env=env).stdout
    by_hand = mixed.run(["sh", "-c", line], env=env)
    driven = mixed.distcc_auto(*build, env=env)
    assert by_hand.stdout.startswith("it's 11 jobs\n")
    assert by_hand.stdout == driven.stdout


def test_dry_run_and_explain_as_json(mixed: Sandbox) -> None:
    for options in (["--dry-run"], ["--explain"], ["--explain", "--dry-run"]):
        document = mixed.json(*options, "--json", "make", "all")
        assert set(document) == {"version", "hosts", "plan", "command"}
        assert document["version"] == 1
        assert all(set(host) == _HOST_KEYS for host in document["hosts"])
        assert set(document["plan"]) >= _PLAN_KEYS
        assert set(document["command"]) >= _COMMAND_KEYS
        assert document["command"]["argv"] == ["make", "all", "-j", "11"]
        assert document["command"]["environment"]["DISTCC_HOSTS"] == document["plan"]["distcc_hosts"]
        assert "DISTCC_AUTO_HOSTS" in document["command"]["removed_environment"]
    assert mixed.json("--explain", "--json")["command"] is None


def test_dry_run_runs_nothing(cluster: Sandbox) -> None:
    cluster.distcc_auto("--dry-run", "touch", "built")
    assert not (cluster.work / "built").exists()


def test_report_tells_what_each_worker_ran(cluster: Sandbox, workers: list[LoopbackWorker]) -> None:
    files = 16
    cluster.write_project(files)
    count = JobCount(workers)
    done = cluster.distcc_auto("--report", "make")
    assert done.returncode == 0, done
    count.all_of(files)
    for worker in workers:
        assert re.search(rf"distcc-auto: {worker.spec} \({worker.slots} slots\): \d+ jobs, \d+ %", done.stderr), done


@pytest.mark.parametrize(("options", "env"), [(["--verbose"], {}), ([], {"DCCSH_DEBUG": "1"})])
def test_tracing_shows_the_hosts_and_the_plan(options: list[str], env: dict[str, str], cluster: Sandbox) -> None:
    traced = cluster.distcc_auto(*options, "sh", "-c", "exit 3", env=env)
    quiet = cluster.distcc_auto("sh", "-c", "exit 3")
    assert traced.returncode == quiet.returncode == 3
    assert "DISTCC_HOSTS=" in traced.stderr
    assert "DISTCC_HOSTS=" not in quiet.stderr


def test_command_named_like_a_sub_command_is_reached_behind_two_dashes(cluster: Sandbox) -> None:
    tools = cluster.root / "tools"
    tools.mkdir()
    for name in ("hosts", "demo", "shell-init"):
        tool = tools / name
        tool.write_text('#!/bin/sh\necho "mine: $*"\n')
        tool.chmod(0o755)
        env = {"PATH": f"{tools}:{cluster.environ['PATH']}"}
        done = cluster.distcc_auto("--", name, "{jobs}", env=env)
        assert done.returncode == 0, done
        assert re.fullmatch(r"mine: \d+\n", done.stdout), done


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_and_version_need_no_hosts(option: str, sandbox: Sandbox) -> None:
    done = sandbox.distcc_auto(option)
    assert (done.returncode, done.stderr) == (0, "")
    assert "distcc-auto" in done.stdout


def test_output_into_a_pipe_that_closes_is_no_error(mixed: Sandbox) -> None:
    done = mixed.run(["bash", "-c", f"set -o pipefail; {DISTCC_AUTO} hosts --json | true"])
    assert (done.returncode, done.stderr) == (0, ""), done


def test_configuration_file_gives_what_the_environment_does_not(
    sandbox: Sandbox, workers: list[LoopbackWorker]
) -> None:
    hosts = json.dumps([worker.spec for worker in workers])
    sandbox.configure(f"hosts = {hosts}\nearly_local_jobs = 1\npreprocessor_saturation_jobs = 7\n")
    plan = sandbox.json("--explain", "--json", env={"DISTCC_AUTO_EARLY_LOCAL_JOBS": "2"})["plan"]
    assert (plan["remote_slots"], plan["local_jobs"], plan["saturation_jobs"]) == (8, 2, 7)


def test_configuration_file_in_the_home_directory(sandbox: Sandbox, workers: list[LoopbackWorker]) -> None:
    path = sandbox.root / "home" / ".config" / "distcc-auto" / "config.toml"
    path.parent.mkdir(parents=True)
    path.write_text(f'hosts = "{workers[1].spec}\\n\\t{workers[0].spec} {workers[1].spec}"\n')
    document = sandbox.json("hosts", "--json", env={"XDG_CONFIG_HOME": None})
    assert [host["host"] for host in document["hosts"]] == [workers[0].spec, workers[1].spec]


def test_cpus_are_those_of_the_affinity(cluster: Sandbox) -> None:
    done = cluster.run(["taskset", "-c", "0", DISTCC_AUTO, "--explain", "--json"])
    assert json.loads(done.stdout)["plan"]["saturation_jobs"] == 1


def test_an_ssh_host_without_an_address_is_reported_and_the_others_build(cluster: Sandbox) -> None:
    cluster.environ["DISTCC_AUTO_HOSTS"] += " ssh://user@nowhere.invalid:22/3632"
    cluster.write_project(3)
    done = cluster.distcc_auto("make")
    assert done.returncode == 0, done
    (line,) = [line for line in done.stderr.splitlines() if "ssh://" in line]
    assert re.search(r"ssh://user@nowhere\.invalid:22/3632: tunnel: no address for", line)


def test_grpc_hosts_without_the_extra_tell_what_to_install(sandbox: Sandbox) -> None:
    """No module of the extra can be imported, as where it is not installed."""
    hidden = sandbox.root / "hidden"
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text(
        "import sys\n"
        "class Hidden:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] in ('grpc', 'google', 'zstandard'):\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Hidden())\n"
    )
    environ = {"PYTHONPATH": str(hidden), "DISTCC_AUTO_HOSTS": "grpc://127.0.0.1:1"}
    done = sandbox.distcc_auto("hosts", env=environ)
    assert (done.returncode, done.stdout) == (96, ""), done
    assert done.stderr.startswith("distcc-auto: grpc:// hosts need the extra 'distplusplus'"), done
    assert len(done.stderr.splitlines()) == 1, done
    mixed = sandbox.distcc_auto("hosts", env=environ | {"DISTCC_AUTO_HOSTS": f"{NOBODY}:1:1 grpc://127.0.0.1:1"})
    assert mixed.returncode == 1, mixed
    assert "bridge: the extra 'distplusplus' is not installed" in mixed.stdout
    assert "Traceback" not in mixed.stderr


def test_an_old_unit_that_names_the_servers_old_module_still_starts_it(sandbox: Sandbox) -> None:
    module = "distcc_auto.distplusplus.server.main"
    done = sandbox.run([sys.executable, "-m", module, "--version"])
    assert (done.returncode, done.stdout.split()[0]) == (0, "distplusplusd"), done
    wrong = sandbox.run([sys.executable, "-m", module, "--no-such-option"])
    assert wrong.returncode == 96, wrong
