"""The serving certificate, which can be replaced while connections are open."""

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
    """Serves the newest certificate to every new connection; open connections do not change.

    Each certificate gets its own context. The SNI callback switches a new handshake to the newest
    one; OpenSSL calls it even if the client sends no server name. Loading a new certificate into
    the context in use would not work: if the type of the key changes, OpenSSL keeps both
    certificates and may serve the old one.

    Args:
        directory: folder for the temporary file from which ``ssl`` loads a certificate; None for
            the default of the system.
    """

    def __init__(self, directory: Path | None = None) -> None:
        self._directory = directory
        self._newest: ssl.SSLContext | None = None
        self.context = _server_context()
        """Context of the listening socket. It rejects handshakes until ``use`` was called."""
        self.context.sni_callback = self._switch

    def use(self, pair: CertifiedKey) -> None:
        """Serves a certificate from the next connection on.

        Args:
            pair: the certificate chain and its key.

        Raises:
            ssl.SSLError: the pair is invalid; the previous certificate stays in use.
        """
        context = _server_context()
        # Created with mode 0600 and deleted after loading.
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
    # TLS 1.2 gets forward secrecy and authenticated encryption, which TLS 1.3 always has. The API
    # server chooses the cipher; our strongest one would make handshakes slower.
    context.set_ciphers("ECDHE+AESGCM:ECDHE+CHACHA20")
    context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    # The API server does not resume sessions, so tickets are useless.
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    return context
