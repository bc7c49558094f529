"""Where the API server is and who we are to it.

The library ``kubernetes_asyncio`` reads kubeconfigs, service accounts and credential plugins; no
other file imports it, and this one only when a connection is made: it takes 0.4 s to load.
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
        self._load: Callable[[Any], Awaitable[None]] | None = None
        self._tls_sources: tuple[Any, ...] = ()
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
        from kubernetes_asyncio.client import Configuration
        from kubernetes_asyncio.config import ConfigException

        configuration = Configuration()
        try:
            if self._load is None or anew:
                self._load = _loader(self._kubeconfig)
            await self._load(configuration)
            self._access = self._from(configuration)
        except (ConfigException, OSError, ValueError, AssertionError, TypeError) as exc:
            where = self._kubeconfig or "in the pod, in KUBECONFIG or in ~/.kube/config"
            raise UsageError(f"no usable access to an API server ({where}): {exc}") from exc
        return self._access

    def _from(self, configuration: Any) -> Access:
        sources = _contents(configuration)
        if self._access is not None and sources == self._tls_sources:
            tls = self._access.tls
        else:
            tls = _tls(configuration)
            self._tls_sources = sources
        token = configuration.api_key.get("BearerToken")
        return Access(
            server=configuration.host.rstrip("/"),
            # A file that ends in a line break is common, and no header may hold one.
            authorization=token.strip() if token else None,
            tls=tls,
            tls_name=configuration.tls_server_name or None,
            proxy=configuration.proxy or _environment_proxy(configuration.host),
        )


def _loader(kubeconfig: str | None) -> Callable[[Any], Awaitable[None]]:
    from kubernetes_asyncio.config import incluster_config, kube_config

    in_pod = (
        incluster_config.SERVICE_HOST_ENV_NAME in os.environ
        and Path(incluster_config.SERVICE_TOKEN_FILENAME).is_file()
    )
    if kubeconfig is None and in_pod:

        async def from_pod(configuration: Any) -> None:
            load: Any = incluster_config.load_incluster_config  # not annotated there
            load(configuration, try_refresh_token=False)

        return from_pod

    loader: Any = None

    async def from_file(configuration: Any) -> None:
        nonlocal loader
        if loader is None:
            path = kubeconfig or os.environ.get("KUBECONFIG") or "~/.kube/config"
            loader = await kube_config.load_kube_config(
                path, client_configuration=configuration, persist_config=False
            )
        else:  # reads token files again, and runs a plugin whose credential has expired
            await loader.load_and_set(configuration)

    return from_file


def _environment_proxy(server: str) -> str | None:
    """The proxy that ``HTTPS_PROXY`` and ``NO_PROXY`` ask for.

    aiohttp would look it up for every request, in a thread: that costs more than the request.
    """
    parts = urlsplit(server)
    if parts.hostname is None or proxy_bypass(parts.netloc):
        return None
    return getproxies().get(parts.scheme)


def _contents(configuration: Any) -> tuple[Any, ...]:
    """What the TLS context is made of: a new one costs milliseconds and every pooled connection."""
    files = (configuration.ssl_ca_cert, configuration.cert_file, configuration.key_file)
    return (
        configuration.verify_ssl,
        *(Path(file).read_bytes() if file else None for file in files),
    )


def _tls(configuration: Any) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
    # Clusters made years ago have authorities without the fields that strict checking demands.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if configuration.cert_file:
        context.load_cert_chain(configuration.cert_file, keyfile=configuration.key_file)
    if not configuration.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
