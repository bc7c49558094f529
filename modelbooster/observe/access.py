"""Access to a cluster for the commands that look at one, chosen as kubectl chooses it."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import yaml

from app.errors import ApiError, OperatorError, Unreachable, UsageError
from app.kube import Kube, ObjectList, connect
from app.values.meta import Resource
from app.values.names import label_faults
from app.values.untyped import as_dict, as_list

MAX_TRIES = 10
"""How often a list is sent, as in client-go."""

DEFAULT_NAMESPACE = "default"

_POD_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


class NoCluster(OperatorError):
    """There is no cluster to look at: none is configured, or it does not answer."""


@dataclass(frozen=True, slots=True)
class Access:
    """The options of kubectl that choose a cluster, a user and a namespace.

    Args:
        kubeconfig: path of a kubeconfig; None for the files in ``KUBECONFIG``, then
            ``~/.kube/config``, then the service account of a pod.
        context: name of a context; None for the current one.
        namespace: None for the namespace of the context.
        all_namespaces: whether all namespaces are asked for; it wins over ``namespace``.
        user: whom to impersonate; None for nobody.
    """

    kubeconfig: str | None = None
    context: str | None = None
    namespace: str | None = None
    all_namespaces: bool = False
    user: str | None = None


@dataclass(frozen=True, slots=True)
class Cluster:
    """An open connection.

    Args:
        kube: the client.
        namespace: the namespace of the options, or of the context.
        all_namespaces: whether all namespaces are asked for.
        context: name of the context; ``""`` in a pod.
    """

    kube: Kube
    namespace: str
    all_namespaces: bool
    context: str

    @property
    def scope(self) -> str | None:
        """The namespace to list; None for all."""
        return None if self.all_namespaces else self.namespace


class PatientKube(Kube):
    """A client whose ``list`` is sent again while the API server asks to wait (429).

    The first list of a kind gets that answer after the API server or the kind's definition is new,
    until its cache is filled. client-go waits as well. Informers have their own backoff.
    """

    async def list(self, resource: Resource, **choices: Any) -> ObjectList:
        """Returns all objects of a kind; the arguments are those of ``Reader.list``."""
        for tries_left in reversed(range(MAX_TRIES)):
            try:
                return await super().list(resource, **choices)
            except ApiError as exc:
                if exc.status != HTTPStatus.TOO_MANY_REQUESTS or not tries_left:
                    raise
                await asyncio.sleep(exc.retry_after_seconds or 1.0)
        raise AssertionError("unreachable")


@asynccontextmanager
async def open_cluster(access: Access) -> AsyncIterator[Cluster]:
    """Opens a connection to the chosen cluster.

    Raises:
        NoCluster: no cluster is configured, it does not answer, or it rejects the credentials.
            Also raised for requests in the block.
        UsageError: an option names something that does not exist, or a kubeconfig cannot be read.
    """
    for fault in label_faults(access.namespace or DEFAULT_NAMESPACE):
        raise UsageError(f'--namespace "{access.namespace}": {fault}')
    chosen = _choose(access)
    try:
        async with connect(
            chosen.paths,
            context=chosen.context or None,
            headers=_headers(access),
            client=PatientKube,
        ) as kube:
            yield Cluster(kube, chosen.namespace, access.all_namespaces, chosen.context)
    except Unreachable as exc:
        raise NoCluster(
            f"the cluster {chosen} does not answer: {_cause(exc)}; check its address, your network "
            "and --context"
        ) from exc
    except ApiError as exc:
        if exc.status != 401:
            raise
        raise NoCluster(
            f"the cluster {chosen} rejects your credentials (401 Unauthorized); log in again, or "
            "choose another --context"
        ) from exc


@dataclass(frozen=True, slots=True)
class _Choice:
    """What the options and kubeconfigs choose.

    Args:
        paths: kubeconfigs, separated as in ``KUBECONFIG``; None for the pod's service account.
        context: name of the context.
        namespace: namespace of the options, else of the context.
        server: address of the API server.
    """

    paths: str | None
    context: str
    namespace: str
    server: str

    def __str__(self) -> str:
        if not self.context:
            return "of this pod"
        return f"{self.server} of context {self.context}"


def _choose(access: Access) -> _Choice:
    files = list(_files(access))
    if not files:
        if access.kubeconfig is None and _POD_NAMESPACE.is_file() and not access.context:
            pod_namespace = _POD_NAMESPACE.read_text().strip()
            return _Choice(None, "", access.namespace or pod_namespace, "")
        raise NoCluster(
            "no cluster is configured: there is no file in KUBECONFIG and no ~/.kube/config; name "
            "a kubeconfig with --kubeconfig"
        )
    configs = [_read(path) for path in files]
    where = os.pathsep.join(map(str, files))
    # The first file that sets it wins, as in kubectl; kubernetes_asyncio takes the last one.
    current = next((c["current-context"] for c in configs if c.get("current-context")), None)
    name = access.context or current
    contexts = _by_name(configs, "contexts")
    if not name:
        raise UsageError(
            f"{where} has no current context; choose one with --context: {_listed(contexts)}"
        )
    if name not in contexts:
        raise UsageError(
            f'context "{name}" does not exist in {where}; there is {_listed(contexts)}'
        )
    context = as_dict(contexts[name].get("context"))
    cluster = as_dict(_by_name(configs, "clusters").get(str(context.get("cluster"))))
    server = str(as_dict(cluster.get("cluster")).get("server", ""))
    namespace = access.namespace or context.get("namespace") or DEFAULT_NAMESPACE
    return _Choice(where, str(name), str(namespace), server)


def _files(access: Access) -> Iterator[Path]:
    """Yields the kubeconfigs to merge. Missing files of ``KUBECONFIG`` are left out, as kubectl."""
    if access.kubeconfig is not None:
        path = Path(access.kubeconfig).expanduser()
        if not path.is_file():
            raise UsageError(f'--kubeconfig: there is no file "{access.kubeconfig}"')
        yield path
        return
    named = os.environ.get("KUBECONFIG", "")
    for text in named.split(os.pathsep) if named else ["~/.kube/config"]:
        if text and (path := Path(text).expanduser()).is_file():
            yield path


def _read(path: Path) -> dict[str, object]:
    try:
        value = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as exc:
        detail = " ".join(str(exc).split())
        raise UsageError(f"the kubeconfig {path} cannot be read: {detail}") from exc
    return as_dict(value)


def _by_name(configs: list[dict[str, object]], field: str) -> dict[str, dict[str, object]]:
    """Returns the entries of a list in all kubeconfigs; the first entry of a name wins."""
    found: dict[str, dict[str, object]] = {}
    for config in configs:
        for entry in map(as_dict, as_list(config.get(field))):
            found.setdefault(str(entry.get("name")), entry)
    return found


def _listed(names: dict[str, dict[str, object]]) -> str:
    return ", ".join(sorted(names)) or "none"


def _headers(access: Access) -> dict[str, str]:
    return {} if access.user is None else {"Impersonate-User": access.user}


def _cause(error: Unreachable) -> str:
    """Returns why there was no answer, without the request and the names of classes."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, TimeoutError):
            return "timeout"
        number = getattr(cause, "errno", None)
        if number in errno.errorcode and number is not None:
            return os.strerror(number).lower()
        cause = cause.__cause__ or cause.__context__
    return str(error).rpartition(": ")[2] or str(error)
