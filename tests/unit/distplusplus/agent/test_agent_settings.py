"""Where the client's settings come from, and what is wrong with those that are refused."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from distcc_common.errors import ConfigurationError
from distplusplus.agent.agent_settings import AgentSettings, WorkerSettings, load, parse_server
from distplusplus.protocol import distplusplus_pb2 as pb


class Files:
    """The two configuration files."""

    def __init__(self, directory: Path) -> None:
        self.system = directory / "system.toml"
        self.user = directory / "distplusplus" / "distplusplus.toml"
        self.user.parent.mkdir()
        self.environ = {"DISTPLUSPLUS_SYSTEM_CONFIG": str(self.system), "XDG_CONFIG_HOME": str(directory)}

    def load(self, **environ: str) -> AgentSettings:
        return load(self.environ | environ)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def test_without_any_word_there_are_defaults(files: Files) -> None:
    settings = files.load()
    assert (settings.servers, settings.compress, settings.fallback) == ((), pb.zstd, "local")


def test_the_environment_wins_over_the_user_and_the_user_over_the_system(files: Files) -> None:
    files.system.write_text('servers = ["a"]\nlog-level = "error"\ncompression-level = 3\n')
    files.user.write_text('servers = ["b"]\nlog-level = "info"\n')
    settings = files.load(DISTPLUSPLUS_SERVERS="c:1 unix:/run/d.sock")
    assert [server.target for server in settings.servers] == ["c:1", "unix:/run/d.sock"]
    assert (settings.log_level, settings.compression_level) == ("info", 3)


def test_a_changed_file_counts_at_once(files: Files) -> None:
    files.user.write_text('fallback = "wait"\n')
    assert files.load().fallback == "wait"
    files.user.unlink()
    assert files.load().fallback == "local"


def test_a_file_that_cannot_be_reached_is_an_error_not_an_empty_one(files: Files) -> None:
    files.user.symlink_to(files.user)
    with pytest.raises(ConfigurationError, match=r"distplusplus\.toml: cannot be read: Too many levels"):
        files.load()


def test_the_documented_example_is_understood(files: Files) -> None:
    files.user.write_text('servers = [\n"localhost:1234",\n"127.0.0.1:4321",\n"unix:/run/distplusplus.sock"\n]\n')
    assert [server.target for server in files.load().servers] == [
        "localhost:1234",
        "127.0.0.1:4321",
        "unix:/run/distplusplus.sock",
    ]


def test_an_address_of_the_environment_keeps_its_certificates(files: Files) -> None:
    files.user.write_text('servers = [{ address = "grpcs://w:1", ca = "/ca.pem", token-file = "/token" }]\n')
    (server,) = files.load(DISTPLUSPLUS_SERVERS="grpcs://w:1").servers
    assert (server.ca, server.token_file, server.tls) == ("/ca.pem", "/token", True)


@pytest.mark.parametrize(("written", "configured"), [("Worker-3", "worker-3:3634"), ("worker-3", "WORKER-3")])
def test_host_names_have_no_case(files: Files, written: str, configured: str) -> None:
    files.user.write_text(
        f'servers = [{{ address = "grpcs://{configured}", ca = "/ca.pem", token-file = "/token" }}]\n'
    )
    (server,) = files.load(DISTPLUSPLUS_SERVERS=f"grpcs://{written}").servers
    assert (server.ca, server.token_file, server.text) == ("/ca.pem", "/token", f"grpcs://{written}")


@pytest.mark.parametrize(
    ("text", "target", "tls"),
    [
        ("w", "w:3634", False),
        ("w:1", "w:1", False),
        ("grpc://w", "w:3634", False),
        ("grpcs://w:2", "w:2", True),
        ("[::1]:5", "[::1]:5", False),
        ("unix:/run/x", "unix:/run/x", False),
        ("unix:///run/x", "unix:/run/x", False),
    ],
)
def test_addresses(text: str, target: str, tls: bool) -> None:
    assert parse_server(text) == WorkerSettings(target, tls=tls)


@pytest.mark.parametrize("text", ["", "w:0", "w:70000", "http://w", "a b", "unix:relative", "w:x", "::1", "user@w"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        parse_server(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("servers = {", "is not TOML"),
        ("[servers] = {\n}", "is not TOML"),
        ("server = []", "there is no such setting"),
        ("servers = 3", "expected an array"),
        ("servers = [3]", "neither an address nor a table"),
        ('servers = [{ address = "w", ca = "/x" }]', "need tls"),
        ('servers = [{ address = "w", token-file = "/x" }]', "in the clear"),
        ('servers = [{ address = "w", port = 3 }]', "has no 'port'"),
        ('servers = [{ address = "grpcs://w", certificate = "/x" }]', "go together"),
        ('servers = [{ address = "grpcs://w", ca = "x" }]', "not an absolute path"),
        ('compress = "lzo"', "none of zstd, NONE"),
        ("compression-level = 99", "whole number from -100 to 22"),
        ("compression-level = 1.5", "whole number"),
        ('fallback = "never"', "none of local, wait, fail"),
        ("connect-timeout = 0", "number of seconds"),
        ("connect-timeout = true", "number of seconds"),
        ("local-jobs = 0", "whole number"),
    ],
)
def test_mistakes_name_the_file_and_the_value(files: Files, text: str, message: str) -> None:
    files.user.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        files.load()
    assert str(files.user) in str(caught.value)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "environ",
    [{"DISTPLUSPLUS_FALLBACK": "never"}, {"DISTPLUSPLUS_COMPRESSION_LEVEL": "x"}, {"DISTPLUSPLUS_SERVERS": "http://w"}],
)
def test_mistakes_in_the_environment_name_the_variable(files: Files, environ: Mapping[str, str]) -> None:
    with pytest.raises(ConfigurationError, match=r"^DISTPLUSPLUS_[A-Z_]+ \(environment\): "):
        files.load(**environ)
