"""Address and credentials of the API server (client-go: rest.Config).

``kubernetes_asyncio`` reads kubeconfigs and runs credential plugins. Only this file imports it, and
only if there is a kubeconfig. In a pod two files and two environment variables are enough. Reading
them directly saves 40 MiB of memory per replica and a third of a second at startup, which the
generated models of the library cost.
"""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from app.errors import UsageError
from app.values.value import hashable_value, keyword_value

log = logging.getLogger(__name__)

HOST, PORT = "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Folder with the pod's token and the CA certificate of the API server."""

REREAD_SECONDS = 60
"""Interval of reading credentials again. The kubelet renews a token long before it expires."""


@hashable_value
class Access:
    """Address and credentials of a server.

    Args:
        server: scheme, host and port, without a slash at the end.
        authorization: value of the ``Authorization`` header; None with a client certificate.
        tls: verifies the server; has the client certificate if there is one.
        tls_name: name in the server's certificate, if it is not the host's.
        proxy: URL of an HTTP proxy; None for none.
    """

    server: str
    authorization: str | None
    tls: ssl.SSLContext
    tls_name: str | None
    proxy: str | None


class Credentials:
    """Reads credentials, and reads them again when they may have changed.

    Args:
        kubeconfig: path of a kubeconfig. None for the pod's service account if there is one, then
            the files named by ``KUBECONFIG``, then ``~/.kube/config``.
        context: name of a context in the kubeconfig; None for its current one.
    """

    def __init__(self, kubeconfig: str | None = None, context: str | None = None) -> None:
        self._kubeconfig = kubeconfig
        self._context = context
        self._lock = asyncio.Lock()
        self._load: Callable[[], Awaitable[_Source]] | None = None
        self._tls_inputs: tuple[object, ...] = ()
        self._access: Access | None = None
        self._read_at = 0.0

    @property
    def cached(self) -> Access | None:
        """The access to use now; None if it has to be read, see ``current``."""
        is_current = time.monotonic() < self._read_at + REREAD_SECONDS
        return self._access if is_current else None

    async def current(self) -> Access:
        """Returns the access to use now. It is read again after a minute.

        Raises:
            UsageError: the credentials cannot be read, and never could.
        """
        if (cached := self.cached) is not None:
            return cached
        self._read_at = time.monotonic()  # other requests use the present one meanwhile
        try:
            return await self._read(anew=self._access is None)
        except UsageError as exc:
            if self._access is None:
                raise
            log.warning("%s; using the previous credentials", exc)
            return self._access

    async def renewed(self, stale: Access) -> Access:
        """Returns a new access after the server rejected ``stale``, or could not be verified."""
        async with self._lock:
            if self._access is not None and self._access is not stale:
                return self._access  # another request has renewed it
            try:
                return await self._read(anew=True)
            except UsageError as exc:
                log.warning("%s; using the previous credentials", exc)
                return stale

    async def _read(self, *, anew: bool) -> Access:
        try:
            if self._load is None or anew:
                self._load = _loader(self._kubeconfig, self._context)
            source = await self._load()
            inputs = source.tls_inputs()
            if self._access is None or inputs != self._tls_inputs:
                tls = source.tls()
                self._tls_inputs = inputs
            else:  # a new context costs milliseconds and all pooled connections
                tls = self._access.tls
        except (OSError, ValueError) as exc:
            where = self._kubeconfig or "in the pod, in KUBECONFIG or in ~/.kube/config"
            raise UsageError(f"no usable access to an API server ({where}): {exc}") from exc
        self._access = Access(
            server=source.server.rstrip("/"),
            # Token files often end in a line break, which is not allowed in a header.
            authorization=source.authorization.strip() or None,
            tls=tls,
            tls_name=source.tls_name,
            proxy=source.proxy or _environment_proxy(source.server),
        )
        return self._access


@keyword_value
class _Source:
    """The content of a kubeconfig, or of a pod's service account."""

    server: str
    authorization: str
    ca_file: str | None
    certificate_file: str | None = None
    key_file: str | None = None
    verify: bool = True
    tls_name: str | None = None
    proxy: str | None = None

    def tls_inputs(self) -> tuple[object, ...]:
        """Returns everything that the TLS context depends on."""
        files = (self.ca_file, self.certificate_file, self.key_file)
        return (self.verify, *(Path(file).read_bytes() if file else None for file in files))

    def tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.ca_file)
        # Old clusters have CA certificates without the extensions that strict checks require.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if self.certificate_file:
            context.load_cert_chain(self.certificate_file, keyfile=self.key_file)
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


def _loader(kubeconfig: str | None, context: str | None) -> Callable[[], Awaitable[_Source]]:
    if kubeconfig is None and HOST in os.environ and (SERVICE_ACCOUNT / "token").is_file():
        return _from_pod
    return _from_kubeconfig(kubeconfig, context)


async def _from_pod() -> _Source:
    host, port = os.environ[HOST], os.environ.get(PORT, "443")
    return _Source(
        server=f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}",
        authorization=f"Bearer {(SERVICE_ACCOUNT / 'token').read_text()}",
        ca_file=str(SERVICE_ACCOUNT / "ca.crt"),
    )


def _from_kubeconfig(
    kubeconfig: str | None, context: str | None
) -> Callable[[], Awaitable[_Source]]:
    from kubernetes_asyncio.client import Configuration
    from kubernetes_asyncio.config import ConfigException, kube_config

    path = kubeconfig or os.environ.get("KUBECONFIG") or "~/.kube/config"
    loader: Any = None

    async def load() -> _Source:
        nonlocal loader
        configuration: Any = Configuration()
        try:
            if loader is None:
                loader = await kube_config.load_kube_config(
                    path, context, client_configuration=configuration, persist_config=False
                )
            else:  # reads token files, and runs the plugin if its credential has expired
                await loader.load_and_set(configuration)
        except _library_errors(kube_config, ConfigException) as exc:
            raise ValueError(exc) from exc
        return _Source(
            server=configuration.host,
            authorization=configuration.api_key.get("BearerToken") or "",
            ca_file=configuration.ssl_ca_cert,
            certificate_file=configuration.cert_file,
            key_file=configuration.key_file,
            verify=configuration.verify_ssl,
            tls_name=configuration.tls_server_name or None,
            proxy=configuration.proxy,
        )

    return load


def _library_errors(kube_config: Any, refused: type[Exception]) -> tuple[type[Exception], ...]:
    """The errors that the library raises for an invalid file, documented or not."""
    return (refused, kube_config.yaml.YAMLError, AssertionError, AttributeError, TypeError)


def _environment_proxy(server: str) -> str | None:
    """Returns the proxy that ``HTTPS_PROXY`` and ``NO_PROXY`` configure.

    Asking for it with every request would cost more than the request.
    """
    parts = urlsplit(server)
    if parts.hostname is None or proxy_bypass(parts.netloc):
        return None
    return getproxies().get(parts.scheme)
