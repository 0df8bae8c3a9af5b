"""TLS with an authority of one's own, client certificates and tokens, by way of the launcher and of the bridge."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration.agent.home import Home, running_server
from tests.integration.sandbox import Sandbox
from tests.integration.server.authority import Authority
from tests.integration.server.harness import Server, until

pytestmark = pytest.mark.long

_FILES = 4
TOKEN = "token"  # noqa: S105  (the name of a file)
CA = {"ca": "ca.pem"}
CLIENT = {"certificate": "client.pem", "key": "client.key"}


@dataclass(frozen=True)
class Bad:
    """A server that is used wrongly, and what is said about it (a regular expression)."""

    server: str
    scheme: str
    settings: Mapping[str, str]
    said: str


BAD = {
    "authority-not-named": Bad("tls", "grpcs", {}, r"signed by nobody that this machine trusts \(name .* as 'ca'"),
    "wrong-authority": Bad("tls", "grpcs", {"ca": "other/ca.pem"}, r"not signed by the authority in .*'ca' in"),
    "authority-missing": Bad("tls", "grpcs", {"ca": "no.pem"}, r"TLS file .*no\.pem: No such file .*path right"),
    "authority-is-none": Bad("tls", "grpcs", {"ca": "token"}, r"TLS cannot work with .*token \(are they PEM"),
    "expired-certificate": Bad("expired", "grpcs", CA, r"its certificate has expired \(give the server a new one"),
    "another-name": Bad("elsewhere", "grpcs", CA, r"its certificate is not for 127\.0\.3\.\d+ \(use a name"),
    "plain-client": Bad("tls", "grpc", {}, r"closed the connection \(does it speak TLS\? Then write grpcs://"),
    "plain-server": Bad("plain-token", "grpcs", CA, r"does not speak TLS \(start it with --tls-certificate"),
    "no-token": Bad("token", "grpcs", CA, r"takes no job without a token \(name a 'token-file' for it"),
    "revoked-token": Bad("token", "grpcs", CA | {"token-file": "revoked"}, r"not take the token in .*revoked \(is it"),
    "empty-token-file": Bad("token", "grpcs", CA | {"token-file": "empty"}, r"not take the token in .*empty \(is it"),
    "token-file-missing": Bad("token", "grpcs", CA | {"token-file": "no"}, r"token file .*/no: No such file .*right"),
    "no-client-certificate": Bad("mutual", "grpcs", CA, r"closed the connection after the TLS handshake .*'certifi"),
    "wrong-client-certificate": Bad(
        "mutual",
        "grpcs",
        CA | {"certificate": "other/client.pem", "key": "other/client.key"},
        r"does not take the certificate in .*other/client\.pem \(.*--tls-client-ca",
    ),
    "key-of-another": Bad(
        "mutual",
        "grpcs",
        CA | {"certificate": "client.pem", "key": "other/client.key"},
        r"TLS cannot work with .*client\.key \(.*does the key belong to the certificate",
    ),
}


class Secured:
    """Files of two authorities, and servers that demand some of them. Names in settings become paths of files."""

    def __init__(self, directory: Path) -> None:
        directory.chmod(0o755)
        self.directory = directory
        self.servers: dict[str, Server] = {}
        (directory / "other").mkdir()
        (directory / "other").chmod(0o755)
        authority, other = Authority(directory), Authority(directory / "other")
        authority.install(*(_address(number) for number in range(len(BAD) + 1)))
        authority.install("alice", file="client")
        authority.install(*(_address(number) for number in range(len(BAD) + 1)), file="expired", expired=True)
        authority.install("elsewhere.example", file="elsewhere")
        other.install("alice", file="client")
        self.write("token", "correct-horse\n")
        self.write("revoked", "battery-staple\n")
        self.write("empty", "")

    def write(self, name: str, text: str) -> None:
        (self.directory / name).write_text(text)

    def file(self, name: str) -> str:
        return str(self.directory / name)

    def start(self, name: str, certificate: str, **files_of: str) -> Iterator[None]:
        """Starts a server on an address for each bad case that wants it, besides its first."""
        files = {"tls-certificate": f"{certificate}.pem", "tls-key": f"{certificate}.key"} if certificate else {}
        files |= {key.replace("_", "-"): file for key, file in files_of.items()}
        words = [word for key, file in files.items() for word in (f"--{key}", self.file(file))]
        for number, case in enumerate(BAD.values(), 1):
            words += ["--listen-address", f"{_address(number)}:0"] * (case.server == name)
        with running_server(self.directory, *words, "--jobs", "2") as server:
            self.servers[name] = server
            yield

    def address(self, name: str) -> str:
        return f"grpcs://{self.servers[name].addresses[0]}"

    def bad_address(self, name: str) -> str:
        number = list(BAD).index(name) + 1
        addresses = self.servers[BAD[name].server].addresses
        (found,) = (address for address in addresses if address.startswith(f"{_address(number)}:"))
        return f"{BAD[name].scheme}://{found}"

    def entry(self, address: str, settings: Mapping[str, str]) -> str:
        """A server for distplusplus.toml."""
        items = {"address": address} | {key: self.file(file) for key, file in settings.items()}
        return "{ " + ", ".join(f"{key} = {json.dumps(value)}" for key, value in items.items()) + " }"


def _address(number: int) -> str:
    return f"127.0.3.{number}" if number else "127.0.0.1"


@pytest.fixture(scope="module")
def secured() -> Iterator[Secured]:
    with tempfile.TemporaryDirectory(prefix="distplusplus-test-") as name:
        made = Secured(Path(name))
        started = [
            made.start("tls", "server"),
            made.start("token", "server", token_file=TOKEN),
            made.start("mutual", "server", tls_client_ca="ca.pem"),
            made.start("expired", "expired"),
            made.start("elsewhere", "elsewhere"),
            made.start("plain-token", "", token_file=TOKEN),
        ]
        with ThreadPoolExecutor() as pool:
            list(pool.map(next, started))
        yield made
        for server in started:
            next(server, None)


GOOD = [
    pytest.param("tls", CA, id="tls"),
    pytest.param("token", CA | {"token-file": "token"}, id="token"),
    pytest.param("mutual", CA | CLIENT, id="client-certificate"),
]


@pytest.mark.parametrize(("name", "settings"), GOOD)
def test_the_launcher_compiles_there(alone: Home, secured: Secured, name: str, settings: dict[str, str]) -> None:
    alone.write("a.c", "int x;\n")
    alone.configure(f"servers = [{secured.entry(secured.address(name), settings)}]\n")
    assert alone.remote("gcc", "-c", "a.c") == ""


@pytest.mark.parametrize(("name", "settings"), GOOD)
def test_a_tree_for_distcc_is_compiled_there(
    sandbox: Sandbox, secured: Secured, name: str, settings: dict[str, str]
) -> None:
    """The user names the worker in DISTCC_AUTO_HOSTS, and its files in distplusplus.toml."""
    sandbox.write_project(_FILES)
    address = secured.address(name)
    configure(sandbox, f"servers = [{secured.entry(address, settings)}]\n")
    sandbox.environ["DISTCC_AUTO_HOSTS"] = address
    done = sandbox.distcc_auto("--report", "make")
    assert done.returncode == 0, done
    assert f"{address} (2 slots): {_FILES} jobs, 100 %" in done.stderr
    hosts = sandbox.json("hosts", "--json")["hosts"]
    assert [(host["kind"], host["state"]) for host in hosts] == [("grpcs", "ready")]


def configure(sandbox: Sandbox, text: str) -> None:
    path = sandbox.root / "config" / "distplusplus" / "distplusplus.toml"
    path.parent.mkdir()
    path.write_text(text)


def all_bad(secured: Secured, server: Server) -> tuple[str, list[str], dict[str, str]]:
    """Settings with every bad server and a good one; their addresses; what is said of each."""
    addresses = {name: secured.bad_address(name) for name in BAD}
    entries = [secured.entry(addresses[name], bad.settings) for name, bad in BAD.items()]
    good = f"grpc://{server.addresses[0]}"
    forms = {name: rf"{re.escape(addresses[name])}: connect: .*{bad.said}.*\)" for name, bad in BAD.items()}
    return f"servers = [{', '.join(entries)}, {json.dumps(good)}]\n", [*addresses.values(), good], forms


def test_a_launcher_tells_each_bad_server_once_and_compiles_on_the_others(
    alone: Home, secured: Secured, server: Server
) -> None:
    text, _, forms = all_bad(secured, server)
    alone.configure(text)
    said = ""
    for number in range(2):
        alone.write(f"{number}.c", "int x;\n")
        said += alone.remote("gcc", "-c", f"{number}.c")
        # The first may have ended before all of it was known; then the next one is told.
        until(lambda: alone.log.count("going on without it") == len(BAD), "the bad servers to be noticed")
    assert_told(said, {name: rf"distplusplus: {form}; going on without it" for name, form in forms.items()})


def test_a_build_for_distcc_tells_each_bad_server_once_and_goes_on_with_the_others(
    sandbox: Sandbox, secured: Secured, server: Server
) -> None:
    text, hosts, forms = all_bad(secured, server)
    configure(sandbox, text)
    sandbox.write_project(_FILES)
    before = server.log.count("result=ok")
    done = sandbox.distcc_auto("make", env={"DISTCC_AUTO_HOSTS": " ".join(hosts)})
    assert done.returncode == 0, done
    assert server.log.count("result=ok") - before == _FILES
    said, _, rest = done.stderr.partition("distcc-auto: 1 worker")
    assert_told(said, {name: rf"distcc-auto: {form}; building without it" for name, form in forms.items()})
    assert rest.count("\n") == 1


def assert_told(said: str, forms: Mapping[str, str]) -> None:
    """Each line is of one case, and each case has one line."""
    told = [name for line in said.splitlines() for name, form in forms.items() if re.fullmatch(form, line)]
    assert sorted(told) == sorted(forms), said
    assert len(said.splitlines()) == len(forms), said


def test_a_token_that_is_changed_counts_from_the_next_compile_on(alone: Home, secured: Secured) -> None:
    alone.write("a.c", "int x;\n")
    secured.write("changed", "battery-staple\n")
    entry = secured.entry(secured.address("token"), CA | {"token-file": "changed"})
    alone.configure(f"servers = [{entry}]\n")
    done = alone.compile("gcc", "-c", "a.c")
    assert (done.returncode, "compiling locally" in done.stderr) == (0, True), done
    secured.write("changed", "correct-horse\n")
    until(lambda: alone.compile("gcc", "-c", "a.c").returncode == 0 and alone.done() == 1, "the token to be taken")


def test_no_token_is_on_a_command_line_or_in_a_log(alone: Home, sandbox: Sandbox, secured: Secured) -> None:
    address = secured.address("token")
    text = f"servers = [{secured.entry(address, CA | {'token-file': 'token'})}]\n"
    alone.configure(text)
    alone.write("a.c", "int x;\n")
    alone.remote("gcc", "-c", "a.c")
    configure(sandbox, text)
    done = sandbox.distcc_auto("--verbose", "sh", "-c", "ps -ewwo args; env", env={"DISTCC_AUTO_HOSTS": address})
    assert done.returncode == 0, done
    seen = done.stdout + done.stderr + alone.log + secured.servers["token"].log
    assert "distplusplus.bridge" in seen
    assert "correct-horse" not in seen


def test_settings_that_would_send_a_token_in_the_clear_are_refused(sandbox: Sandbox, secured: Secured) -> None:
    token = secured.file("token")
    configure(sandbox, f'servers = [{{ address = "worker-1", token-file = "{token}" }}]\n')
    done = sandbox.distcc_auto("hosts", env={"DISTCC_AUTO_HOSTS": "grpc://worker-1"})
    assert done.returncode == 1, done
    assert "the token would cross the network in the clear; set tls = true" in done.stdout
