"""Where models and LoRA adapters are stored: the cache volume and the paths inside it.

The cache is mounted in the pod at the path of its URI. A download gets a folder in the cache, named
by a hash of its source URI and of the variables that choose what is downloaded. A source on the
claim of the cache (``pvc://``) is used in place.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence

from app.model.environment import variables
from app.model.forms import BackendForm, cached_fact
from app.values.fields import Path, SpecError, forbidden, invalid
from app.values.folders import absolute, host_folder, is_below, is_below_any
from app.values.meta import Object
from app.values.names import is_subdomain
from app.values.value import value

EPHEMERAL_PATH = "/models-cache"
"""Mount path of a cache that lives as long as its pod."""

SHARED_MEMORY_PATH = "/dev/shm"  # noqa: S108
"""Mount path of shared memory in the pod."""


@value
class Cache:
    """The volume of a backend's pods that contains models.

    Args:
        path: its mount path in every container that uses it.
        volume: its volume source in the pod.
        claim: name of the PersistentVolumeClaim; None for other volumes.
        folder: the folder of the claim that is mounted; None for the whole volume.
    """

    path: str
    volume: Object
    claim: str | None = None
    folder: str | None = None


HOST_PATH_PREFIXES = (
    *("/cache", "/data", "/mnt", "/models", "/srv"),
    *("/tmp", "/var/cache", "/var/lib/models"),  # noqa: S108 - folders of nodes, not files of ours
)
"""Default node folders that ``hostpath://`` may use: common cache folders and those of kthena's
examples. None of them contains system files of a node."""

_SETTING = "kthena.hostPathPrefixes of the Helm chart, MODELBOOSTER_HOST_PATH_PREFIXES"
"""The setting that allows more folders; error messages name it."""


def cache_of(backend: BackendForm, allowed_prefixes: Sequence[str] | None = None) -> Cache:
    """Returns the cache of a backend; without ``cacheURI``, a cache that lives as long as the pod.

    Args:
        backend: the backend.
        allowed_prefixes: allowed node folders, including everything below them; None skips the
            check.

    Raises:
        SpecError: ``cacheURI`` does not name a folder or claim that can be mounted.
    """
    cache = _cache(backend)
    if (
        allowed_prefixes is not None
        and "hostPath" in cache.volume
        and not is_below_any(cache.path, allowed_prefixes)
    ):
        prefixes = [host_folder(prefix) for prefix in allowed_prefixes]
        refused = "is not allowed here, and no other is"
        if prefixes:
            listed = " or ".join(filter(None, [", ".join(prefixes[:-1]), prefixes[-1]]))
            refused = f"is not below {listed}, the ones allowed here"
        detail = f"host path {cache.path} {refused} ({_SETTING})"
        raise SpecError(forbidden(backend.path.child("cacheURI"), detail))
    return cache


@cached_fact
def _cache(backend: BackendForm) -> Cache:
    uri = backend.cache_uri
    if not uri:
        return Cache(EPHEMERAL_PATH, {"emptyDir": {}})
    path = backend.path.child("cacheURI")
    scheme, _, rest = uri.partition("://")
    if scheme == "pvc":
        return _claim(uri, rest, path)
    if scheme != "hostpath":
        raise SpecError(invalid(path, uri, "must begin with hostpath:// or pvc://"))
    folder = _host_path(uri, rest, path)
    return Cache(folder, {"hostPath": {"path": folder, "type": "DirectoryOrCreate"}})


def _claim(uri: str, rest: str, path: Path) -> Cache:
    """Returns a claim, or a folder of it, mounted at the path that its URI names."""
    claim, *segments = rest.strip("/").split("/")
    if not is_subdomain(claim):
        detail = (
            "pvc:// cacheURI must name a claim and may name a folder of it, for instance "
            "pvc://models or pvc://models/team-a"
        )
        raise SpecError(invalid(path, uri, detail))
    for segment in segments:
        if segment in ("", ".", ".."):
            detail = "the folder of a claim must not contain '..', '.' or empty path segments"
            raise SpecError(invalid(path, uri, detail))
        if odd := _UNMOUNTABLE.search(segment):
            detail = f"the folder of a claim must not contain {odd[0]!r}; rename the folder"
            raise SpecError(invalid(path, uri, detail))
    return Cache(
        "/".join(["", claim, *segments]),
        {"persistentVolumeClaim": {"claimName": claim}},
        claim,
        "/".join(segments) or None,
    )


_UNMOUNTABLE = re.compile(r"[\s:\x00-\x1f\x7f]")
"""Blanks and control characters, which are mistakes, and ``:``, which no mount path may contain."""


def _host_path(uri: str, rest: str, path: Path) -> str:
    written = rest.partition("://")[0]
    if ".." in written.split("/"):
        raise SpecError(invalid(path, uri, "hostpath:// must not contain '..' path segments"))
    folder = absolute(written)
    if folder == "/":
        raise SpecError(invalid(path, uri, "hostpath:// must name a folder below /"))
    if "\0" in folder or folder == SHARED_MEMORY_PATH:
        raise SpecError(invalid(path, uri, "this folder cannot be mounted in a pod"))
    return folder


def model_path(backend: BackendForm, cache: Cache) -> str:
    """Returns the path of the model in the pod.

    Raises:
        SpecError: the model is on a claim that the pod does not mount.
    """
    if folder := _folders(backend).get(backend.model_uri):
        return f"{cache.path}/{folder}"
    return _place(backend, cache, backend.model_uri, backend.path.child("modelURI"))


def adapter_path(backend: BackendForm, cache: Cache, position: int) -> str:
    """Returns the path of a LoRA adapter in the pod.

    Raises:
        SpecError: the adapter is on a claim that the pod does not mount.
    """
    uri = backend.lora_adapters[position].artifact_url
    if folder := _folders(backend).get(uri):
        return f"{cache.path}/{folder}"
    at = backend.path.child("loraAdapters").index(position)
    return _place(backend, cache, uri, at.child("artifactURL"))


def is_in_place(uri: str) -> bool:
    """Returns whether a source is used in place, without a download."""
    return uri.startswith("pvc://")


_CHOOSING = {
    "hf": ("HF_ENDPOINT", "HF_REVISION"),
    "ms": ("MODELSCOPE_DOMAIN", "MODELSCOPE_ENDPOINT", "MS_REVISION"),
    "s3": ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "ENDPOINT"),
    "obs": ("ENDPOINT",),
}
"""By scheme, the variables that choose what a download fetches: revision and server."""
_CHOOSING_NAMES = frozenset(name for names in _CHOOSING.values() for name in names)


@cached_fact
def _folders(backend: BackendForm) -> dict[str, str]:
    """Returns the folder in a cache for each source that a backend downloads, by its URI.

    Two downloads that fetch different files never share one. It is the hash of the URI alone if no
    variable in ``env`` chooses revision or server. A variable with ``valueFrom`` counts by its
    reference, because its value is not known here.
    """
    given = variables(backend) if backend.env else {}
    is_chosen = given and not given.keys().isdisjoint(_CHOOSING_NAMES)
    found: dict[str, str] = {}
    for uri in (backend.model_uri, *[adapter.artifact_url for adapter in backend.lora_adapters]):
        if uri.startswith("pvc://") or "\0" in uri:
            continue
        text = uri
        if is_chosen:
            scheme = uri.partition("://")[0] if "://" in uri else "hf"  # the downloader's default
            text = "\0".join([uri, *_chosen(_CHOOSING.get(scheme, ()), given)])
        found[uri] = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
    return found


_EXPANDED = re.compile(r"\$\(([^)]*)\)")
"""A variable in the value of another one, which Kubernetes replaces."""


def _chosen(names: Sequence[str], given: dict[str, Object]) -> list[str]:
    """Returns some variables of ``env`` as text, with those that their values contain."""
    found: dict[str, str] = {}
    left = [name for name in names if name in given]
    while left:
        name = left.pop()
        entry = given[name]
        if entry.get("value"):
            found[name] = entry["value"]
            left += [n for n in _EXPANDED.findall(entry["value"]) if n in given and n not in found]
        elif entry.get("valueFrom"):
            found[name] = json.dumps(entry["valueFrom"], sort_keys=True)
    return [f"{name}={found[name]}" for name in sorted(found)]


def _place(backend: BackendForm, cache: Cache, uri: str, path: Path) -> str:
    """Returns the path of a source that is used in place."""
    if "\0" in uri:
        raise SpecError(invalid(path, uri, "must not hold the character NUL"))
    field = path.text.rpartition(".")[2]
    if cache.claim is None:
        detail = (
            f"must also be pvc:// when {field} is: the pod mounts only the cache, for instance "
            f"cacheURI pvc://models and {field} pvc://models/my-model"
        )
        raise SpecError(invalid(backend.path.child("cacheURI"), backend.cache_uri or "", detail))
    source = uri.removeprefix("pvc://")
    if ".." in source.split("/"):
        raise SpecError(invalid(path, uri, f"pvc:// {field} must not contain '..' path segments"))
    source = absolute(source)
    if not is_below(source, cache.path):
        mounted = f"folder {cache.folder} of claim" if cache.folder else "claim"
        detail = f"{source} does not lie in {cache.path}, where {mounted} {cache.claim} is mounted"
        raise SpecError(invalid(path, uri, detail))
    return source
