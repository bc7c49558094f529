"""The HTTPS server's certificate, which can change while connections are open."""

from __future__ import annotations

import ssl
import tempfile
from pathlib import Path
from typing import Protocol


class CertifiedKey(Protocol):
    """A certificate chain and its private key, both PEM."""

    @property
    def cert(self) -> bytes:
        """The chain, the server's own certificate first."""

    @property
    def key(self) -> bytes:
        """The private key, not encrypted."""


class ServingContext:
    """Serves the newest certificate to every new connection; open connections go on as they are.

    Each certificate gets a context of its own, and the TLS server-name callback moves a beginning
    handshake to the newest one; the callback is called whether or not the client names a server.
    Loading a certificate into a context that is in use was rejected: when the new key is of
    another type, OpenSSL keeps both and may go on serving the old one.

    Args:
        directory: where a certificate lies for the moment of its loading; None for the system's
            place for temporary files. ``ssl`` reads files only.
    """

    def __init__(self, directory: Path | None = None) -> None:
        self._directory = directory
        self._newest: ssl.SSLContext | None = None
        self.context = _server_context()
        """What a server listens with. Without a certificate it refuses every handshake."""
        self.context.sni_callback = self._switch

    def use(self, pair: CertifiedKey) -> None:
        """Serves ``pair`` from the next connection on.

        Raises:
            ssl.SSLError: it is not a pair, or cannot be read; what was served stays.
        """
        context = _server_context()
        # Created with mode 0600, and gone as soon as it was read.
        with tempfile.NamedTemporaryFile(dir=self._directory, suffix=".pem") as file:
            file.write(pair.key + b"\n" + pair.cert)
            file.flush()
            context.load_cert_chain(file.name)
        self._newest = context

    def _switch(
        self, connection: ssl.SSLSocket | ssl.SSLObject, _name: str | None, _first: ssl.SSLContext
    ) -> int | None:
        if self._newest is None:
            return ssl.ALERT_DESCRIPTION_INTERNAL_ERROR
        connection.context = self._newest
        return None


def _server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    # For TLS 1.2: forward secrecy and authenticated encryption, as TLS 1.3 has them anyway. Which
    # of them, the API server chooses; it knows what is quick, and the strongest of ours would make
    # every hash of a handshake a longer one.
    context.set_ciphers("ECDHE+AESGCM:ECDHE+CHACHA20")
    context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    # The API server keeps no sessions: tickets would be made and sent for nothing.
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    return context
