"""What gRPC says, as a user is told it."""

from __future__ import annotations

import grpc
import pytest

from distplusplus.agent.agent_settings import parse_server
from distplusplus.agent.servers import diagnosis

UNREACHABLE = "FAILED_PRECONDITION: ipv4:198.51.100.7:3634: connect failed: addr: ipv4:198.51.100.7:3634 error: "


@pytest.mark.parametrize(
    ("details", "told"),
    [
        (
            "failed to connect to all addresses; last error: UNKNOWN: ipv4:127.0.0.1:9: "
            "Failed to connect to remote host: Connection refused",
            "connect: Connection refused at 127.0.0.1:9 "
            "(is distplusplusd running there, and does every firewall let us through?)",
        ),
        (
            f"failed to connect to all addresses; last error: {UNREACHABLE}Network is unreachable",
            "connect: Network is unreachable at 198.51.100.7:3634 (is this machine on the network?)",
        ),
    ],
)
def test_a_connection_that_fails(details: str, told: str) -> None:
    server = parse_server("worker-1")
    trouble = diagnosis.of_call("connect", grpc.StatusCode.UNAVAILABLE, details, server)
    assert str(trouble) == told
    assert trouble.brief == told.partition(" (")[0]


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (
            grpc.StatusCode.INVALID_ARGUMENT,
            "connect: the server answers INVALID_ARGUMENT: no compiler (see the server's log)",
        ),
        (
            grpc.StatusCode.PERMISSION_DENIED,
            "connect: the server answers PERMISSION_DENIED: no compiler "
            "(is this machine's address among those of the server's --allow?)",
        ),
    ],
)
def test_a_server_that_answers_is_not_behind_a_firewall(code: grpc.StatusCode, told: str) -> None:
    assert str(diagnosis.of_call("connect", code, "no compiler", parse_server("worker-1"))) == told


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            PermissionError(13, "Permission denied", "/token"),
            "/token: Permission denied (make it readable for you alone; see distplusplus.toml(5))",
        ),
        (
            FileNotFoundError(2, "No such file or directory", "/token"),
            "/token: No such file or directory (is the path right? See distplusplus.toml(5))",
        ),
    ],
)
def test_a_token_file_that_cannot_be_read(error: OSError, told: str) -> None:
    assert str(diagnosis.of_file(error, "token file")) == f"connect: token file {told}"


def test_nothing_but_text_gets_to_the_terminal() -> None:
    assert diagnosis.shortened("a\n\0b\x1b[2Jc\x7f") == "a b [2Jc "
