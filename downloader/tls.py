"""Certificates: whom to trust, and the failure for those that are not trusted."""

from __future__ import annotations

import os
import ssl

from downloader.errors import DownloadError, Reason, without_secrets


def tls_context(ca_file: str) -> ssl.SSLContext:
    """Returns a context that trusts the usual authorities, and those of a file.

    Args:
        ca_file: the file, in PEM form; ``""`` for none.

    Raises:
        DownloadError: it has no certificate.
    """
    context = ssl.create_default_context()
    if not ca_file:
        return context
    _load(context, ca_file)
    # SSL_CERT_FILE replaces the usual ones; a mirror may redirect to a public host.
    usual = ssl.get_default_verify_paths()
    if os.path.exists(usual.openssl_cafile):
        context.load_verify_locations(usual.openssl_cafile)
    if os.path.isdir(usual.openssl_capath):
        context.load_verify_locations(capath=usual.openssl_capath)
    return context


def check_authorities(ca_file: str) -> None:
    """Checks a file with certificate authorities before anything needs it.

    Raises:
        DownloadError: it has no certificate.
    """
    if ca_file:
        _load(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), ca_file)


def _load(context: ssl.SSLContext, ca_file: str) -> None:
    try:
        context.load_verify_locations(ca_file)
    except (OSError, ssl.SSLError) as exc:
        raise DownloadError(
            Reason.TLS,
            f"cannot read certificate authorities from {ca_file}: {exc}",
            "mount the ConfigMap with the CA in PEM form there",
        ) from exc


def short_text(exc: BaseException) -> str:
    """Returns what an error of a client says, without what it repeats."""
    text = without_secrets(str(exc)) or type(exc).__name__
    return text.rpartition(": ")[2] if len(text) > 200 else text


def tls_error(host: str, exc: BaseException) -> DownloadError:
    """Returns the failure for a certificate that is not trusted."""
    cause = short_text(exc).rpartition("] ")[2] or short_text(exc)
    return DownloadError(
        Reason.TLS,
        f"the certificate of {host} is not trusted: {cause}",
        "mount its CA from a ConfigMap, and set SSL_CERT_FILE to that file",
    )
