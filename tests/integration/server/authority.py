"""A certificate authority of a test's own, and the files that servers and clients need of it."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import grpc
import trustme

_LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC), datetime(2021, 1, 1, tzinfo=UTC)


class Authority:
    """Its files are in `directory`, where a server's user can read them."""

    def __init__(self, directory: Path) -> None:
        self._ca = trustme.CA()
        self._directory = directory

    def install(self, *names: str, file: str = "server", expired: bool = False) -> tuple[str, str, str]:
        """Writes the files of a server or a client; returns the paths of certificate, key and authority."""
        names = names or ("127.0.0.1",)
        begin, end = _LONG_AGO if expired else (None, None)
        issued = self._ca.issue_cert(*names, common_name=names[0], not_before=begin, not_after=end)
        paths = [str(self._directory / name) for name in (f"{file}.pem", f"{file}.key", "ca.pem")]
        # As one would: write beside, then rename.
        for path, data in zip(
            paths,
            (
                b"".join(blob.bytes() for blob in issued.cert_chain_pems),
                issued.private_key_pem.bytes(),
                self._ca.cert_pem.bytes(),
            ),
            strict=True,
        ):
            Path(path + ".new").write_bytes(data)
            os.rename(path + ".new", path)
        return paths[0], paths[1], paths[2]

    def credentials(self, client: str | None = None) -> grpc.ChannelCredentials:
        root = self._ca.cert_pem.bytes()
        if client is None:
            return grpc.ssl_channel_credentials(root)
        issued = self._ca.issue_cert(client, common_name=client)
        chain = b"".join(blob.bytes() for blob in issued.cert_chain_pems)
        return grpc.ssl_channel_credentials(root, issued.private_key_pem.bytes(), chain)
