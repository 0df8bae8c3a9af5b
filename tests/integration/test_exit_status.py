"""What `distcc-auto` exits with when there is nothing it could run, and what it says then."""

from __future__ import annotations

import re

import pytest

from distcc_auto.demo.loopback import free_ports
from tests.integration.addresses import NOBODY
from tests.integration.sandbox import DISTCC_AUTO, Sandbox


def _said(sandbox: Sandbox, status: int, *arguments: str, **env: str | None) -> str:
    """The one message of a run that ends with `status` before the build starts."""
    done = sandbox.distcc_auto(*arguments, env=env)
    assert done.returncode == status, done
    assert done.stdout == ""
    assert not (sandbox.work / "built").exists()
    *_, last = done.stderr.splitlines()
    assert last.startswith("distcc-auto: ")
    return last


@pytest.fixture
def dead_host(sandbox: Sandbox) -> Sandbox:
    """A sandbox whose only host refuses connections, with a Makefile that makes `built`."""
    (port,) = free_ports(NOBODY, 1)
    sandbox.environ["DISTCC_AUTO_HOSTS"] = f"{NOBODY}:1:{port}"
    sandbox.write("Makefile", "built: ; touch $@\n")
    return sandbox


@pytest.mark.parametrize("hosts", [None, "", " \t\n "])
def test_no_hosts(hosts: str | None, sandbox: Sandbox) -> None:
    assert "DISTCC_AUTO_HOSTS" in _said(sandbox, 96, "touch", "built", DISTCC_AUTO_HOSTS=hosts)


@pytest.mark.parametrize("arguments", [(), ("--",), ("--dry-run",), ("--verbose",)])
def test_no_command(arguments: tuple[str, ...], cluster: Sandbox) -> None:
    assert "no build command" in _said(cluster, 96, *arguments)


def test_unknown_option(cluster: Sandbox) -> None:
    assert "--no-such-option" in _said(cluster, 96, "--no-such-option", "touch", "built")


def test_no_distcc(cluster: Sandbox) -> None:
    directory = cluster.root / "bin"
    directory.mkdir()
    (directory / "touch").symlink_to("/usr/bin/touch")
    assert "distcc client is not in PATH" in _said(cluster, 96, "touch", "built", PATH=str(directory))


_BAD_NUMBERS = ("-1", "two", "1.5", "0x10", "1e3", "99999999999999999999", "٣")


@pytest.mark.parametrize("value", _BAD_NUMBERS)
@pytest.mark.parametrize(
    "name", ["COMPILER_MEMORY", "EARLY_LOCAL_JOBS", "FALLBACK_LOCAL_JOBS", "PREPROCESSOR_SATURATION_JOBS"]
)
def test_malformed_number_in_the_environment(name: str, value: str, cluster: Sandbox) -> None:
    said = _said(cluster, 96, "touch", "built", **{f"DISTCC_AUTO_{name}": value})
    assert f"DISTCC_AUTO_{name} (environment)" in said
    assert f"'{value}'" in said


@pytest.mark.parametrize("name", ["CONNECT_TIMEOUT", "ANSWER_TIMEOUT"])
@pytest.mark.parametrize("value", ["0", "-1", "soon", "inf", "nan"])
def test_malformed_time_in_the_environment(name: str, value: str, cluster: Sandbox) -> None:
    said = _said(cluster, 96, "touch", "built", **{f"DISTCC_AUTO_{name}": value})
    assert f"DISTCC_AUTO_{name} (environment)" in said
    assert f"'{value}'" in said


@pytest.mark.parametrize(
    "host", ["a:b", "host:99999", "[::1", "::1", "http://host", "256.1.1.1", "a:1:2:3", "ssh://-oProxyCommand=x", "a/b"]
)
def test_malformed_host(host: str, cluster: Sandbox) -> None:
    said = _said(cluster, 96, "touch", "built", DISTCC_AUTO_HOSTS=f"good-host {host}")
    assert f"DISTCC_AUTO_HOSTS (environment): host '{host}': " in said


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("hosts = 'a:b'", "hosts: host 'a:b'"),
        ("hosts = ['good', 'a:b']", "hosts: host 'a:b'"),
        ("hosts = [1]", "hosts: "),
        ("hosts = 'w'\nearly_local_jobs = 'two'", "early_local_jobs: 'two'"),
        ("hosts = 'w'\nearly_local_jobs = -1", "early_local_jobs: '-1'"),
        ("hosts = 'w'\nearly_local_jobs = true", "early_local_jobs: "),
        ("hosts = 'w'\nearly_lokal_jobs = 1", "early_lokal_jobs: "),
        ("hosts = ", "is not TOML"),
        ("hosts = '\udcff'", "is not TOML"),
    ],
)
def test_malformed_configuration_file(text: str, named: str, sandbox: Sandbox) -> None:
    path = sandbox.configure("")
    path.write_bytes(text.encode(errors="surrogateescape"))
    said = _said(sandbox, 96, "touch", "built")
    assert str(path) in said
    assert named in said


def test_configuration_file_that_is_a_directory(cluster: Sandbox) -> None:
    path = cluster.configure("")
    path.unlink()
    path.mkdir()
    assert str(path) in _said(cluster, 96, "touch", "built")


def test_no_worker_and_no_local_job_allowed(dead_host: Sandbox) -> None:
    said = _said(dead_host, 97, "make", DISTCC_AUTO_FALLBACK_LOCAL_JOBS="0")
    assert "DISTCC_AUTO_FALLBACK_LOCAL_JOBS=0" in said


def test_no_worker_and_no_memory_for_a_local_job(dead_host: Sandbox) -> None:
    said = _said(dead_host, 97, "make", DISTCC_AUTO_COMPILER_MEMORY=str(1 << 30))
    assert re.search(r"\d+ MiB of memory available here", said)


def test_no_worker_builds_here(dead_host: Sandbox) -> None:
    dead_host.write_project(4)
    env = {"DISTCC_AUTO_FALLBACK_LOCAL_JOBS": "3", "DISTCC_AUTO_PREPROCESSOR_SATURATION_JOBS": "5"}
    done = dead_host.distcc_auto("make", env=env)
    assert done.returncode == 0, done
    assert "make -j 3" in done.stderr
    assert dead_host.run(["./sum"]).stdout == "3\n"


def test_command_that_does_not_exist(cluster: Sandbox) -> None:
    assert "no-such-tool" in _said(cluster, 127, "no-such-tool")
    assert "./no-such-tool" in _said(cluster, 127, "./no-such-tool")


def test_command_that_cannot_be_executed(cluster: Sandbox) -> None:
    script = cluster.write("script", "#!/bin/sh\ntouch built\n")
    assert str(script) in _said(cluster, 126, str(script))
    cluster.write("empty", "", executable=True)
    script.chmod(0o755)
    script.write_text("#!/no/such/interpreter\n")
    assert str(script) in _said(cluster, 126, str(script))


def test_command_that_is_a_directory(cluster: Sandbox) -> None:
    status = cluster.run(["sh", "-c", str(cluster.work)]).returncode
    assert str(cluster.work) in _said(cluster, status, str(cluster.work))


def test_script_without_an_interpreter_line_runs_as_under_a_shell(cluster: Sandbox) -> None:
    cluster.write("build-it", 'echo "$0 $*"\nexit 4\n', executable=True)
    done = cluster.distcc_auto("./build-it", "a b", "{jobs}", env={"DISTCC_AUTO_PREPROCESSOR_SATURATION_JOBS": "0"})
    assert (done.returncode, done.stdout) == (4, "./build-it a b 8\n"), done


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_standard_streams_are_no_reason_to_fail(closed: str, cluster: Sandbox) -> None:
    done = cluster.run(["sh", "-c", f'exec "$@" {closed}', "sh", DISTCC_AUTO, "sh", "-c", "exit 5"])
    assert done.returncode == 5, done


@pytest.mark.parametrize("arguments", [("hosts",), ("hosts", "--json"), ("--dry-run", "touch", "built")])
@pytest.mark.parametrize("unbuffered", [None, "1"])
def test_output_onto_a_full_disk(arguments: tuple[str, ...], unbuffered: str | None, cluster: Sandbox) -> None:
    command = ["sh", "-c", '"$0" "$@" > /dev/full', DISTCC_AUTO, *arguments]
    done = cluster.run(command, env={"PYTHONUNBUFFERED": unbuffered})
    assert (done.returncode, len(done.stderr.splitlines())) == (96, 1), done
    assert "standard output cannot be written: No space left on device" in done.stderr


def test_a_command_line_in_no_encoding_is_shown_as_it_was_given(cluster: Sandbox) -> None:
    shown = 'exec "$0" --dry-run make "$(printf "a\\377b")" > out'
    for env, expected in (
        ({"LC_ALL": "C.UTF-8"}, b"a\xffb"),
        ({"PYTHONIOENCODING": "utf-8:strict"}, b"a\xffb"),
        ({"PYTHONIOENCODING": "ascii"}, b"a\\udcffb"),
    ):
        done = cluster.run(["sh", "-c", shown, DISTCC_AUTO], env=env)
        assert done.returncode == 0, done
        assert expected in (cluster.work / "out").read_bytes()
