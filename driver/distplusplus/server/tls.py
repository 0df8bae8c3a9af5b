"""TLS credentials for the server's addresses, which follow their files."""

from __future__ import annotations

from typing import Any

import grpc

from distcc_common.errors import ConfigurationError
from distplusplus.server.access import watched_files
from distplusplus.server.log import log


def tls_credentials(certificate: str, key: str, client_ca: str | None) -> grpc.ServerCredentials:
    """Credentials whose files are read again when they change, on each new connection. Raises ConfigurationError."""
    watch = watched_files("TLS", *([certificate, key] + ([client_ca] if client_ca else [])))

    def configuration() -> grpc.ServerCertificateConfiguration:
        chain, private, *authorities = watch.contents
        return grpc.ssl_server_certificate_configuration([(private, chain)], authorities[0] if authorities else None)

    def fetch() -> Any:  # None: no change; the published type does not know it
        try:
            if watch.changed():
                log.info("certificates are reloaded")
                return configuration()
        except Exception:
            # gRPC would end the handshake without a word.
            log.exception("cannot reload the certificates, the old ones stay")
        return None

    chain, private, *_ = watch.contents
    if b"-----BEGIN CERTIFICATE-----" not in chain:
        raise ConfigurationError(f"--tls-certificate {certificate}: holds no PEM certificate")
    if b"PRIVATE KEY-----" not in private:
        raise ConfigurationError(f"--tls-key {key}: holds no PEM private key")
    return grpc.dynamic_ssl_server_credentials(configuration(), fetch, require_client_authentication=bool(client_ca))
