"""Who may connect: addresses, TLS, client certificates, tokens."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from distplusplus.protocol import distplusplus_pb2 as pb
from tests.integration.server.authority import Authority
from tests.integration.server.harness import Client, Server, ended, refused, until

Code = grpc.StatusCode
Start = Callable[..., Server]


@pytest.fixture
def secrets() -> Iterator[Path]:
    """A directory that the server's user can reach."""
    directory = Path(subprocess.check_output(["mktemp", "-d"], text=True).strip())
    directory.chmod(0o755)
    yield directory
    subprocess.run(["rm", "-rf", str(directory)], check=True)


def fails(client: Client) -> Any:
    with pytest.raises(grpc.RpcError) as caught:
        client.query(pb.ServerQuery(), timeout=5)
    return caught.value.code()


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "192.0.2.1:3634", "build-host:3634"])
def test_an_open_address_needs_a_word(address: str) -> None:
    status, message = ended("--listen-address", address)
    assert status == 96
    assert "--insecure" in message
    assert address in message


def test_insecure_is_said_in_the_log(start: Start) -> None:
    server = start("--insecure", address="0.0.0.0:0")
    assert "warning" in server.log
    assert "anyone who can reach it" in server.log
    server.client(address=f"127.0.0.1:{server.addresses[0].rpartition(':')[2]}").object()


def test_tls(start: Start, secrets: Path) -> None:
    authority = Authority(secrets)
    certificate, key, _ = authority.install()
    server = start("--tls-certificate", certificate, "--tls-key", key)
    assert server.client(authority.credentials()).object()
    assert fails(server.client()) == Code.UNAVAILABLE
    assert fails(server.client(Authority(secrets).credentials())) == Code.UNAVAILABLE


def test_certificates_are_reloaded(start: Start, secrets: Path) -> None:
    old, new = Authority(secrets), Authority(secrets)
    certificate, key, _ = old.install()
    server = start("--tls-certificate", certificate, "--tls-key", key)
    assert server.client(old.credentials()).query(pb.ServerQuery(), timeout=10)
    new.install()
    until(lambda: _answers(server, new), "the new certificate to be used")
    assert fails(server.client(old.credentials())) == Code.UNAVAILABLE
    # Files that are gone or half written leave what was loaded.
    os.unlink(key)
    assert _answers(server, new)
    assert "cannot reload" in server.log


def _answers(server: Server, authority: Authority) -> bool:
    try:
        server.client(authority.credentials()).query(pb.ServerQuery(), timeout=10)
    except grpc.RpcError:
        return False
    return True


def test_client_certificates(start: Start, secrets: Path) -> None:
    authority = Authority(secrets)
    certificate, key, ca = authority.install()
    server = start("--tls-certificate", certificate, "--tls-key", key, "--tls-client-ca", ca)
    client = server.client(authority.credentials("alice"))
    client.object()
    assert "user=alice" in server.log
    assert fails(server.client(authority.credentials())) == Code.UNAVAILABLE


def test_tokens(start: Start, secrets: Path) -> None:
    tokens = secrets / "tokens"
    tokens.write_text("# who may compile\nfirst-token\nbob second-token\n")
    server = start("--token-file", str(tokens))
    client = server.client()
    for metadata in ((), (("authorization", "Bearer wrong"),), (("authorization", "first-token"),)):
        with refused(Code.UNAUTHENTICATED, pb.Refusal.BAD_TOKEN, "bearer token"):
            client.query(pb.ServerQuery(), timeout=10, metadata=metadata)
        with refused(Code.UNAUTHENTICATED, pb.Refusal.BAD_TOKEN, "bearer token"):
            client.distribute(pb.CompileRequest(), timeout=10, metadata=metadata)
    good = (("authorization", "Bearer second-token"),)
    uuid = client.reserve(pb.Reservation(user="mallory"), timeout=10, metadata=good).uuid
    request = client.request(uuid=uuid)
    assert client.distribute(request, timeout=20, metadata=good).returnCode == 0
    assert "user=bob" in server.log
    # Reloaded, too.
    tokens.write_text("third-token\n")
    third = (("authorization", "bearer third-token"),)
    assert client.query(pb.ServerQuery(), timeout=10, metadata=third)
    with refused(Code.UNAUTHENTICATED, pb.Refusal.BAD_TOKEN):
        client.query(pb.ServerQuery(), timeout=10, metadata=good)


def test_tokens_in_clear_are_warned_of(start: Start, secrets: Path) -> None:
    (secrets / "tokens").write_text("token\n")
    server = start("--token-file", str(secrets / "tokens"), address="0.0.0.0:0")
    assert "unencrypted" in server.log


def test_a_job_reads_no_key(start: Start, secrets: Path) -> None:
    authority = Authority(secrets)
    certificate, key, _ = authority.install()
    client = start("--tls-certificate", certificate, "--tls-key", key).client(authority.credentials())
    answer = client.compile(f'# 1 "a.c"\n__asm__(".incbin \\"{key}\\"");\n'.encode())
    assert answer.returnCode != 0


@pytest.mark.parametrize(
    ("files", "match"),
    [
        ({"certificate": "x"}, "need each other"),
        ({"certificate": "/no/such", "key": "/no/such"}, "No such file"),
        ({"certificate": "/etc/hostname", "key": "/etc/hostname"}, "no PEM certificate"),
        ({"client-ca": "/etc/hostname"}, "needs --tls-certificate"),
    ],
)
def test_tls_files_that_cannot_work(files: dict[str, str], match: str) -> None:
    options = [part for name, path in files.items() for part in (f"--tls-{name}", os.path.abspath(path))]
    status, message = ended(*options, "--listen-address", "127.0.0.1:0")
    assert status == 96
    assert match in message


@pytest.mark.parametrize(("content", "match"), [("", "no token"), ("# none\n\n", "no token"), (None, "No such file")])
def test_token_files_that_cannot_work(secrets: Path, content: str | None, match: str) -> None:
    if content is not None:
        (secrets / "tokens").write_text(content)
    status, message = ended("--token-file", str(secrets / "tokens"), "--listen-address", "127.0.0.1:0")
    assert status == 96
    assert match in message


@pytest.mark.parametrize("user", ["root", "no-such-user"])
def test_users_that_cannot_be(user: str) -> None:
    status, message = ended("--user", user, "--listen-address", "127.0.0.1:0")
    assert status == 96
    assert "--user" in message


def test_tls_on_two_addresses(start: Start, secrets: Path) -> None:
    authority = Authority(secrets)
    certificate, key, _ = authority.install("127.0.0.1", "127.0.3.1")
    server = start("--tls-certificate", certificate, "--tls-key", key, "--listen-address", "127.0.3.1:0")
    assert len(server.addresses) == 2
    for address in server.addresses:
        assert server.client(authority.credentials(), address).query(pb.ServerQuery(), timeout=10)
