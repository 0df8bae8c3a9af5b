"""Why a worker cannot be used, and what to do about it: gRPC's own words are those of the libraries below it. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

import grpc

from distplusplus.agent.agent_settings import WorkerSettings

_MAX_LENGTH = 300
_HUNG_UP = re.compile("Socket closed|Connection reset|Broken pipe")
_NOT_CONNECTED = re.compile(
    r"^(?:FAILED_PRECONDITION: )?(?:ipv[46]:)?(\S+): "
    r"(?:Failed to connect to remote host|connect failed: addr: \S+ error): (.*)$"
)
_REACHABLE = "is distplusplusd running there, and does every firewall let us through?"
_REMEDIES = {
    grpc.StatusCode.PERMISSION_DENIED: "is this machine's address among those of the server's --allow?",
    grpc.StatusCode.RESOURCE_EXHAUSTED: "it may be overloaded; see the server's log",
}


@dataclass(frozen=True)
class Trouble:
    """What went wrong, and in which phase; `remedy` is empty where nobody can do anything about it."""

    phase: str
    cause: str
    remedy: str = ""

    @property
    def brief(self) -> str:
        """Without the remedy, for where it was told before."""
        return f"{self.phase}: {self.cause}"

    def __str__(self) -> str:
        return self.brief + (f" ({self.remedy})" if self.remedy else "")


def of_call(phase: str, code: grpc.StatusCode, details: str | None, server: WorkerSettings) -> Trouble:
    """What a call that ended with an error other than a deadline means."""
    if code == grpc.StatusCode.UNAUTHENTICATED:
        return Trouble(phase, *_of_token(server))
    if code == grpc.StatusCode.UNIMPLEMENTED:
        return Trouble(phase, "what answers there is no distplusplusd", "is the port right?")
    cause = shortened(details)
    if _HUNG_UP.search(cause):
        return Trouble(phase, *(_of_hang_up(server) if phase == "connect" else ("the server has gone away", "")))
    if found := _of_connection(cause, server):
        return Trouble(phase, *found)
    if "Network is unreachable" in cause:
        return Trouble(phase, cause, "is this machine on the network?")
    if code == grpc.StatusCode.UNAVAILABLE:
        return Trouble(phase, cause, _REACHABLE)
    # The server has answered, so nothing is wrong with the network.
    return Trouble(phase, f"the server answers {code.name}: {cause}", _REMEDIES.get(code, "see the server's log"))


def no_connection(server: WorkerSettings, timeout_s: float) -> Trouble:
    """Nothing at all came back."""
    return Trouble("connect", f"no connection to {server.target} within {timeout_s:g} s", _REACHABLE)


def no_answer(timeout_s: float) -> Trouble:
    """It took the connection, and then said nothing."""
    remedy = "is it distplusplusd, and is it stopped or overloaded?"
    return Trouble("query", f"connected, but no answer within {timeout_s:g} s", remedy)


def of_file(error: Exception, what: str) -> Trouble:
    """A file of this machine that the connection needs."""
    if isinstance(error, PermissionError):
        remedy = "make it readable for you alone; see distplusplus.toml(5)"
    elif isinstance(error, OSError):
        remedy = "is the path right? See distplusplus.toml(5)"
    else:
        return Trouble("connect", f"{what}: {error}", "see distplusplus.toml(5)")
    return Trouble("connect", f"{what} {error.filename}: {error.strerror}", remedy)


def _of_token(server: WorkerSettings) -> tuple[str, str]:
    if server.token_file is None:
        return "it takes no job without a token", "name a 'token-file' for it in distplusplus.toml"
    return f"it does not take the token in {server.token_file}", "is it still one of those in its own --token-file?"


def _of_connection(cause: str, server: WorkerSettings) -> tuple[str, str] | None:
    if "CERTIFICATE_VERIFY_FAILED" in cause:
        return _of_certificate(cause, server)
    if "Hostname Verification Check failed" in cause:
        name = server.target.rpartition(":")[0]
        return f"its certificate is not for {name}", "use a name that is in it, or give the server one with this name"
    if "WRONG_VERSION_NUMBER" in cause:
        return "it does not speak TLS", "start it with --tls-certificate, or write grpc:// for a network that you trust"
    if "create security handshaker" in cause:
        files = ", ".join(path for path in (server.ca, server.certificate, server.key) if path)
        return f"TLS cannot work with {files}", "are they PEM files, and does the key belong to the certificate?"
    if "Failed parsing HTTP/2" in cause:
        return "what answers there is no distplusplusd", "is the port right?"
    if "resolving" in cause or "lookup" in cause:
        return f"no address for '{server.target.rpartition(':')[0]}'", "is the name right?"
    if "handshake failed" in cause:
        return f"TLS failed: {cause}", "is distplusplusd running there with TLS?"
    return None


def _of_certificate(cause: str, server: WorkerSettings) -> tuple[str, str]:
    if "expired" in cause:
        return "its certificate has expired", "give the server a new one"
    if "not yet valid" in cause:
        return "its certificate is not valid yet", "are the clocks here and there right?"
    if server.ca is None:
        remedy = "name the certificate of its authority as 'ca' of this server in distplusplus.toml"
        return "its certificate is signed by nobody that this machine trusts", remedy
    return f"its certificate is not signed by the authority in {server.ca}", "is 'ca' in distplusplus.toml right?"


def _of_hang_up(server: WorkerSettings) -> tuple[str, str]:
    if not server.tls:
        return "it closed the connection", "does it speak TLS? Then write grpcs://. Or is another service at this port?"
    if server.certificate is None:
        remedy = "does it want a client certificate? Name 'certificate' and 'key' for it in distplusplus.toml"
        return "it closed the connection after the TLS handshake", remedy
    remedy = "is this certificate signed by the authority in its --tls-client-ca, and not expired?"
    return f"it does not take the certificate in {server.certificate}", remedy


def shortened(details: str | None) -> str:
    """What gRPC says, without what says nothing to a user."""
    text = re.sub(r"[\x00-\x1f\x7f]+", " ", details or "no reason given")
    text = text.rpartition("last error: ")[2].removeprefix("UNKNOWN: ").removeprefix("UNAVAILABLE: ")
    text = _NOT_CONNECTED.sub(r"\2 at \1", text)
    return text if len(text) <= _MAX_LENGTH else f"{text[: _MAX_LENGTH - 3]}..."
