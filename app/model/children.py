"""The children of a ModelBooster: their labels, owner reference and revision."""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

import orjson

from app.apis.kinds import (
    BACKEND_NAME,
    MANAGED_BY,
    MODEL_BOOSTER,
    MODEL_NAME,
    MODEL_SERVING,
    MODEL_UID,
    REGISTRY_MANAGED_BY,
    REVISION,
    WORKLOAD,
)
from app.model.digests import sorted_json
from app.model.forms import BackendForm, Model, cached_fact
from app.values.fields import Cause, FieldError, Path, SpecError
from app.values.meta import Object, Resource
from app.values.value import value

MAX_BYTES = 1024 * 1024
"""Largest spec of a child. etcd accepts 1.5 MiB per object, including status and managed fields."""


class Draft(NamedTuple):
    """A child as conversion creates it, without labels and owner reference.

    Args:
        resource: its kind.
        name: its name.
        spec: its spec. It may share parts with other children: do not change it.
        backend: its backend; None for a child of the whole model.
        replica_bounds: as in ``Desired``.
    """

    resource: Resource
    name: str
    spec: Object
    backend: BackendForm | None = None
    replica_bounds: tuple[int, int] | None = None


@value
class Desired:
    """The desired state of a child.

    Args:
        resource: its kind.
        object: the object to apply.
        replica_bounds: minimum and maximum replicas if an autoscaler writes ``spec.replicas`` of a
            ModelServing. The object then contains the initial value, and the revision ignores
            it. The sender replaces it with the live value, clamped to the bounds. None if we set
            the replicas.
    """

    resource: Resource
    object: Object
    replica_bounds: tuple[int, int] | None = None

    @property
    def name(self) -> str:
        """The name of the child."""
        name: str = self.object["metadata"]["name"]
        return name


def pod_labels(model: Model, backend: BackendForm | None) -> dict[str, str]:
    """Returns the four labels of the entry pods of a backend, or of the whole model for None.

    Their values change as rarely as possible, because a changed pod template restarts the pods.
    """
    return {
        MODEL_NAME: model.name,
        BACKEND_NAME: backend.name if backend else "",
        MODEL_UID: model.uid,
        MANAGED_BY: WORKLOAD,
    }


@cached_fact
def size_bound(backend: BackendForm) -> int:
    """Returns a size in bytes that no ModelServing of a backend exceeds.

    Writing a ModelServing as JSON takes a tenth of the time of a review; its inputs are shorter.
    """
    workers = [
        (worker.image, worker.config, worker.resources, worker.affinity, worker.tolerations)
        for worker in backend.workers
    ]
    adapters = [(adapter.name, adapter.artifact_url) for adapter in backend.lora_adapters]
    texts = (backend.scheduler_name, backend.runtime_class_name)
    sources = (backend.model_uri, backend.cache_uri, adapters, texts)
    try:
        size = len(orjson.dumps((backend.env, backend.env_from, sources, workers)))
    except orjson.JSONEncodeError:  # a number of more than 64 bits: conversion makes a text of it
        return MAX_BYTES + 1
    containers = 3 + len(adapters)  # the engine, the sidecar, and a download for each source
    return size * containers * _COPIES_PER_CONTAINER + _BYTES_WITHOUT_INPUTS


_COPIES_PER_CONTAINER = 2 * 2 * 2
"""Two roles with two pod templates each, and JSON in an argument doubles its quotes."""

_BYTES_WITHOUT_INPUTS = 256 * 1024
"""More than the parts of a ModelServing that come from settings and from us."""


def check_size(draft: Draft) -> None:
    """Checks that a child is small enough to be stored.

    Raises:
        SpecError: it is too large.
    """
    if draft.backend and draft.resource == MODEL_SERVING and size_bound(draft.backend) <= MAX_BYTES:
        return
    size = len(orjson.dumps(draft.spec))
    if size <= MAX_BYTES:  # the part that counts is not larger
        return
    size = len(sorted_json(_counted(draft.spec, _unstamped(draft))))
    if size > MAX_BYTES:
        path = draft.backend.path if draft.backend else Path("spec")
        detail = f"the {draft.resource.kind} would have {size} bytes, at most {MAX_BYTES} fit"
        raise SpecError(FieldError(path, Cause.TOO_LONG, f"Too long: {detail}"))


def stamped(model: Model, draft: Draft) -> Desired:
    """Returns a child with the labels, owner reference and revision of its ModelBooster."""
    whole = child(
        model,
        draft.resource,
        draft.name,
        draft.spec,
        backend=draft.backend,
        unstamped=_unstamped(draft),
    )
    return Desired(draft.resource, whole, draft.replica_bounds)


def _unstamped(draft: Draft) -> tuple[str, ...]:
    return () if draft.replica_bounds is None else ("replicas",)


def child(
    model: Model,
    resource: Resource,
    name: str,
    spec: Object,
    *,
    backend: BackendForm | None = None,
    unstamped: tuple[str, ...] = (),
) -> Object:
    """Returns a child of a ModelBooster: ``spec`` with name, labels and owner reference.

    Args:
        model: its ModelBooster, which also gives the namespace.
        resource: its kind.
        name: its name.
        spec: its spec.
        backend: its backend; None for a child of the whole model.
        unstamped: fields of ``spec`` that the revision ignores because another controller may
            write them (``replicas`` with an autoscaler).
    """
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {
            "name": name,
            "namespace": model.namespace,
            "labels": {
                **pod_labels(model, backend),
                REVISION: revision(_counted(spec, unstamped)),
                REGISTRY_MANAGED_BY: "registry.volcano.sh",
            },
            "ownerReferences": [
                {
                    "apiVersion": MODEL_BOOSTER.api_version,
                    "kind": MODEL_BOOSTER.kind,
                    "name": model.name,
                    "uid": model.uid,
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        "spec": spec,
    }


def revision(spec: Any) -> str:
    """Returns a hash of a spec: 16 hexadecimal digits.

    The hash is a label of the child, so a field removed from the desired spec shows as drift.
    """
    return hashlib.sha256(sorted_json(spec)).hexdigest()[:16]


def _counted(spec: Object, unstamped: tuple[str, ...]) -> Object:
    return {key: value for key, value in spec.items() if key not in unstamped}
