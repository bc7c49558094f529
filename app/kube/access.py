"""Where the API server is and who we are to it.

The library ``kubernetes_asyncio`` reads kubeconfigs and runs credential plugins; no other file
imports it, and this one only when there is a kubeconfig to read. In a pod there is none: what the
kubelet puts there is two files and two variables, and reading those ourselves saves every replica
40 MiB of memory and a third of a second, which the library's generated models take to load.
"""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from app.errors import UsageError

log = logging.getLogger(__name__)

HOST, PORT = "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where a kubelet puts a pod's token and the authority that signed the API server's certificate."""

REREAD_SECONDS = 60
"""How often credentials are read again; a kubelet renews a pod's token long before it ends."""


@dataclass(frozen=True)
class Access:
    """All that a request needs to know about the server.

    Args:
        server: scheme, host and port, without a slash at the end.
        authorization: value of the header of that name, None for a client certificate.
        tls: how to check the server, and our client certificate if we have one.
        tls_name: name that the server's certificate must hold, if it is not the host's.
        proxy: URL of an HTTP proxy.
    """

    server: str
    authorization: str | None
    tls: ssl.SSLContext
    tls_name: str | None
    proxy: str | None


class Credentials:
    """Keeps an ``Access`` fresh.

    Args:
        kubeconfig: the file to use; None means the pod's service account if there is one, else
            the files named by ``KUBECONFIG``, else ``~/.kube/config``.
    """

    def __init__(self, kubeconfig: str | None = None) -> None:
        self._kubeconfig = kubeconfig
        self._lock = asyncio.Lock()
        self._load: Callable[[], Awaitable[_Found]] | None = None
        self._tls_sources: tuple[object, ...] = ()
        self._access: Access | None = None
        self._read_at = 0.0

    async def current(self) -> Access:
        """Returns the access to use now; reads it again when it is a minute old.

        Raises:
            UsageError: there is none, or it cannot be read, and there never was another.
        """
        if self._access is not None and time.monotonic() < self._read_at + REREAD_SECONDS:
            return self._access
        self._read_at = time.monotonic()  # others go on with what there is meanwhile
        try:
            return await self._read(anew=self._access is None)
        except UsageError as exc:
            if self._access is None:
                raise
            log.warning("%s; going on with the credentials read before", exc)
            return self._access

    async def renewed(self, stale: Access) -> Access:
        """Returns an access to try after the server refused ``stale``, or was not to be trusted."""
        async with self._lock:
            if self._access is not None and self._access is not stale:
                return self._access  # another request was refused as well and has seen to it
            try:
                return await self._read(anew=True)
            except UsageError as exc:
                log.warning("%s; going on with the credentials read before", exc)
                return stale

    async def _read(self, *, anew: bool) -> Access:
        try:
            if self._load is None or anew:
                self._load = _loader(self._kubeconfig)
            found = await self._load()
            sources = found.tls_sources()
            if self._access is None or sources != self._tls_sources:
                tls = found.tls()
                self._tls_sources = sources
            else:  # a new context would cost milliseconds and every pooled connection
                tls = self._access.tls
        except (OSError, ValueError) as exc:
            where = self._kubeconfig or "in the pod, in KUBECONFIG or in ~/.kube/config"
            raise UsageError(f"no usable access to an API server ({where}): {exc}") from exc
        self._access = Access(
            server=found.server.rstrip("/"),
            # A file that ends in a line break is common, and no header may hold one.
            authorization=found.authorization.strip() or None,
            tls=tls,
            tls_name=found.tls_name,
            proxy=found.proxy or _environment_proxy(found.server),
        )
        return self._access


@dataclass(frozen=True, kw_only=True)
class _Found:
    """What a kubeconfig or a pod says."""

    server: str
    authorization: str
    ca_file: str | None
    certificate_file: str | None = None
    key_file: str | None = None
    verify: bool = True
    tls_name: str | None = None
    proxy: str | None = None

    def tls_sources(self) -> tuple[object, ...]:
        """What a TLS context is made of."""
        files = (self.ca_file, self.certificate_file, self.key_file)
        return (self.verify, *(Path(file).read_bytes() if file else None for file in files))

    def tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.ca_file)
        # Clusters made years ago have authorities without the fields that strict checking demands.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if self.certificate_file:
            context.load_cert_chain(self.certificate_file, keyfile=self.key_file)
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


def _loader(kubeconfig: str | None) -> Callable[[], Awaitable[_Found]]:
    if kubeconfig is None and HOST in os.environ and (SERVICE_ACCOUNT / "token").is_file():
        return _from_pod
    return _from_kubeconfig(kubeconfig)


async def _from_pod() -> _Found:
    host, port = os.environ[HOST], os.environ.get(PORT, "443")
    return _Found(
        server=f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}",
        authorization=f"Bearer {(SERVICE_ACCOUNT / 'token').read_text()}",
        ca_file=str(SERVICE_ACCOUNT / "ca.crt"),
    )


def _from_kubeconfig(kubeconfig: str | None) -> Callable[[], Awaitable[_Found]]:
    from kubernetes_asyncio.client import Configuration
    from kubernetes_asyncio.config import ConfigException, kube_config

    path = kubeconfig or os.environ.get("KUBECONFIG") or "~/.kube/config"
    loader: Any = None

    async def load() -> _Found:
        nonlocal loader
        configuration: Any = Configuration()
        try:
            if loader is None:
                loader = await kube_config.load_kube_config(
                    path, client_configuration=configuration, persist_config=False
                )
            else:  # reads token files again, and runs a plugin whose credential has expired
                await loader.load_and_set(configuration)
        except _unusable(kube_config, ConfigException) as exc:
            raise ValueError(exc) from exc
        return _Found(
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


def _unusable(kube_config: Any, refused: type[Exception]) -> tuple[type[Exception], ...]:
    """What the library raises for a file that it cannot use; not all of it on purpose."""
    return (refused, kube_config.yaml.YAMLError, AssertionError, AttributeError, TypeError)


def _environment_proxy(server: str) -> str | None:
    """The proxy that ``HTTPS_PROXY`` and ``NO_PROXY`` ask for.

    aiohttp would look it up for every request, in a thread: that costs more than the request.
    """
    parts = urlsplit(server)
    if parts.hostname is None or proxy_bypass(parts.netloc):
        return None
    return getproxies().get(parts.scheme)
