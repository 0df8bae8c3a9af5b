"""Who may call: addresses, bearer tokens, and TLS with certificates that are reloaded."""

from __future__ import annotations

import hmac
import ipaddress
import logging
import os
import urllib.parse
from collections.abc import Awaitable, Callable, Collection
from typing import Any

import grpc
import grpc.aio

from distcc_common.errors import ConfigurationError
from distplusplus.protocol import distplusplus_pb2 as pb
from distplusplus.protocol import refusals
from distplusplus.server.privileges import user_name
from distplusplus.server.server_settings import Network

_log = logging.getLogger("distplusplusd")
# Health is asked by machinery that has no token, and tells nothing.
_OPEN_METHODS = "/grpc.health.v1.Health/"


def is_allowed(peer: str, networks: Collection[Network]) -> bool:
    """Whether a client may call: those of this machine always, others if `networks` is empty or one of them has it.

    `peer` as gRPC says it: `ipv4:192.0.2.7:58108`, `ipv6:%5B2001:db8::7%5D:58108`, `unix:`.
    """
    kind, _, rest = peer.partition(":")
    if not networks or kind not in ("ipv4", "ipv6"):
        return True
    host = urllib.parse.unquote(rest).rpartition(":")[0].strip("[]").partition("%")[0]
    address: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.ip_address(host)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return address.is_loopback or any(address in network for network in networks)


class FileWatch:
    """The contents of some files, read anew when one of them changes."""

    def __init__(self, *paths: str) -> None:
        self._paths = paths
        self._stamp = self._read_stamp()
        self.contents = self._read()

    def changed(self) -> bool:
        """Whether `contents` is new since the last call. A file that cannot be read leaves the old
        contents."""
        try:
            stamp = self._read_stamp()
            if stamp == self._stamp:
                return False
            self.contents = self._read()
        except OSError as error:
            _log.error("cannot reload %s, the old contents stay: %s", error.filename, error.strerror)
            return False
        self._stamp = stamp
        return True

    def _read_stamp(self) -> list[tuple[int, int, int]]:
        return [(status.st_mtime_ns, status.st_ino, status.st_size) for status in map(os.stat, self._paths)]

    def _read(self) -> list[bytes]:
        contents = []
        for path in self._paths:
            with open(path, "rb") as file:
                contents.append(file.read())
        return contents


def tls_credentials(certificate: str, key: str, client_ca: str | None) -> grpc.ServerCredentials:
    """Credentials that follow their files: looked at on each new connection. Raises ConfigurationError."""
    watch = _watched("TLS", *([certificate, key] + ([client_ca] if client_ca else [])))

    def configuration() -> grpc.ServerCertificateConfiguration:
        chain, private, *authorities = watch.contents
        return grpc.ssl_server_certificate_configuration([(private, chain)], authorities[0] if authorities else None)

    def fetch() -> Any:  # None: no change; the published type does not know it
        try:
            if watch.changed():
                _log.info("certificates are reloaded")
                return configuration()
        except Exception:
            # gRPC would end the handshake without a word.
            _log.exception("cannot reload the certificates, the old ones stay")
        return None

    chain, private, *_ = watch.contents
    if b"-----BEGIN CERTIFICATE-----" not in chain:
        raise ConfigurationError(f"--tls-certificate {certificate}: holds no PEM certificate")
    if b"PRIVATE KEY-----" not in private:
        raise ConfigurationError(f"--tls-key {key}: holds no PEM private key")
    return grpc.dynamic_ssl_server_credentials(configuration(), fetch, require_client_authentication=bool(client_ca))


def _watched(what: str, *paths: str) -> FileWatch:
    try:
        return FileWatch(*paths)
    except OSError as error:
        raise ConfigurationError(
            f"{what}: {error.filename}: {error.strerror} (the server runs as {user_name()})"
        ) from error


class TokenInterceptor(grpc.aio.ServerInterceptor):
    """Lets only calls through that carry one of the tokens of a file. Raises ConfigurationError if there is
    none."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._watch = _watched("--token-file", path)
        self._tokens = self._parse()
        if not self._tokens:
            raise ConfigurationError(f"--token-file {path}: holds no token")

    def _parse(self) -> list[tuple[bytes, str]]:
        tokens = []
        for number, line in enumerate(self._watch.contents[0].decode("utf-8", "replace").splitlines(), 1):
            words = line.split()
            if words and not words[0].startswith("#"):
                tokens.append((words[-1].encode(), words[0] if len(words) > 1 else f"token {number}"))
        return tokens

    def user(self, metadata: Any) -> str | None:
        """Whose token the call carries, None if nobody's."""
        if self._watch.changed():
            self._tokens = self._parse()
        found = None
        for key, value in metadata or ():
            if key == "authorization" and isinstance(value, str) and value[:7].lower() == "bearer ":
                for token, name in self._tokens:
                    if hmac.compare_digest(token, value[7:].strip().encode()):
                        found = name
        return found

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        handler = await continuation(handler_call_details)
        if handler is None or handler_call_details.method.startswith(_OPEN_METHODS):
            return handler
        if self.user(handler_call_details.invocation_metadata) is not None:
            return handler
        return _refusing(handler)


def _refusing(handler: Any) -> Any:
    """A handler of the same kind that refuses."""
    message = "no valid bearer token: send the metadata `authorization: Bearer TOKEN`"

    async def refuse(context: Any) -> None:
        trailer = refusals.to_trailer(
            grpc.StatusCode.UNAUTHENTICATED.value[0], message, refusals.refusal(pb.Refusal.BAD_TOKEN)
        )
        await context.abort(grpc.StatusCode.UNAUTHENTICATED, message, (trailer,))

    async def unary(_request: Any, context: Any) -> None:
        await refuse(context)

    async def stream(_request: Any, context: Any) -> Any:
        await refuse(context)
        yield  # pragma: no cover  # makes this a generator

    kinds = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }
    make: Any = kinds[handler.request_streaming, handler.response_streaming]
    return make(
        stream if handler.response_streaming else unary,
        handler.request_deserializer,
        handler.response_serializer,
    )
