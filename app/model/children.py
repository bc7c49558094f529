"""The children of a ModelBooster: their labels, owner reference and revision."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from app.apis.kinds import (
    BACKEND_NAME,
    MANAGED_BY,
    MODEL_BOOSTER,
    MODEL_NAME,
    MODEL_UID,
    REGISTRY_MANAGED_BY,
    REVISION,
    WORKLOAD,
)
from app.model.forms import BackendForm, Model
from app.values.fields import Cause, FieldError, Path, SpecError
from app.values.meta import Object, Resource

MOST_BYTES = 1024 * 1024
"""Of a child's spec. etcd takes 1.5 MiB of one object; status and managed fields need some too."""


class Draft(NamedTuple):
    """A child as conversion makes it, before it is stamped with whose it is.

    Args:
        resource: its kind.
        name: its name.
        spec: its spec. Parts of it may stand in other children too: do not change it.
        backend: the backend it is made for; None if for all of them.
        replica_bounds: as in ``Desired``.
    """

    resource: Resource
    name: str
    spec: Object
    backend: BackendForm | None = None
    replica_bounds: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Desired:
    """A child as it should be.

    Args:
        resource: its kind.
        object: the whole child, to be sent as it stands.
        replica_bounds: fewest and most replicas where an autoscaler writes ``spec.replicas`` of a
            ModelServing; the object then holds the value to begin with, the revision leaves it
            out, and whoever sends it puts in the live value, clamped. None where we decide.
    """

    resource: Resource
    object: Object
    replica_bounds: tuple[int, int] | None = None

    @property
    def name(self) -> str:
        """The child's name."""
        name: str = self.object["metadata"]["name"]
        return name


def pod_labels(model: Model, backend: BackendForm | None) -> dict[str, str]:
    """Returns the four labels of entry pods; with ``backend`` None those of the whole model.

    Nothing that changes without need is among them: a changed pod template restarts pods.
    """
    return {
        MODEL_NAME: model.name,
        BACKEND_NAME: backend.name if backend else "",
        MODEL_UID: model.uid,
        MANAGED_BY: WORKLOAD,
    }


def check_size(draft: Draft) -> None:
    """Raises SpecError if a child would be too large to be stored."""
    size = len(orjson.dumps(draft.spec))
    if size <= MOST_BYTES:  # then what counts of it does not have more
        return
    size = len(_text(_counted(draft.spec, _unstamped(draft))))
    if size > MOST_BYTES:
        path = draft.backend.path if draft.backend else Path("spec")
        detail = f"the {draft.resource.kind} would have {size} bytes, at most {MOST_BYTES} fit"
        raise SpecError(FieldError(path, Cause.TOO_LONG, f"Too long: {detail}"))


def stamped(model: Model, draft: Draft) -> Desired:
    """Returns the child that a draft of a ModelBooster becomes."""
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
        model: whose child it is.
        resource: its kind.
        name: its name; it stands in the namespace of the model.
        spec: its spec.
        backend: the backend it is made for; None if for all of them.
        unstamped: fields of ``spec`` that do not count in the revision, because somebody else
            may write them (``replicas`` under an autoscaler).
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
    """Returns 16 hexadecimal digits that tell specs apart.

    As a label it is part of what we want, so a field that we stopped wanting shows as a difference.
    """
    return hashlib.sha256(_text(spec)).hexdigest()[:16]


def _text(spec: Any) -> bytes:
    return orjson.dumps(spec, option=orjson.OPT_SORT_KEYS)


def _counted(spec: Object, unstamped: tuple[str, ...]) -> Object:
    return {key: value for key, value in spec.items() if key not in unstamped}
