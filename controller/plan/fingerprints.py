"""Hashes that tell why a pod template differs: the user's inputs, and the template as accepted.

Every ModelServing carries both as annotations. They are no labels and no part of its revision,
and kthena restarts pods only if the roles of the template change.

* ``POD_INPUTS``: everything that users wrote and that decides the pods of the backend. It does not
  depend on the version or the settings of the operator: the JSON is hashed as stored, before
  defaults and conversion. So a template that differs although the hash is the same was not asked
  for by the user. **Never change what is hashed or how**: all models would count as edited, and
  restart. A test pins some values.
* ``POD_TEMPLATE``: the template that we wrote. If ours has another hash now, a write would restart
  the pods, even if it only removes a field. If the live one has another hash, somebody else edited
  it. Fields that others add while our template is in place are accepted; the annotation then holds
  a second hash, of the live template.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from app.apis.kinds import DELETION_PROTECTION, REVISION, WORKLOAD
from app.model.children import Desired, revision
from app.model.digests import sorted_json, standard_json
from app.values.meta import Object, annotations_of, labels_of, uid_of
from app.values.untyped import as_dict

POD_INPUTS = f"{WORKLOAD}/pod-inputs"
"""Annotation of a ModelServing: hash of what users wrote for its pods."""

POD_TEMPLATE = f"{WORKLOAD}/pod-template"
"""Annotation of a ModelServing: hash of its pod template as we wrote it, and, if others added
fields, ``/`` and the hash of the template with them."""

ROLLOUT = f"{WORKLOAD}/rollout"
"""Annotation of a ModelBooster: ``allow`` or ``hold``. With any other value, or none, the waves
decide."""

NOT_FOR_PODS = frozenset(
    {
        "autoscalingPolicy",
        "cacheWarmup",
        "maxReplicas",
        "minReplicas",
        "replicas",
        "routeWeight",
        "scaleToZeroGracePeriod",
        "scalingCost",
    }
)
"""Fields of a backend that do not change its pod templates."""

NOT_FOR_WORKER_PODS = frozenset({"replicas"})
"""The same for the workers of a backend. Kthena scales a role without restarting its pods."""

MAX_TEMPLATES = 1024
"""Templates whose hash is remembered, at some 150 bytes each: each pass asks for a live one."""

_DEFAULT_PROTOCOL = b',"protocol":"TCP"'
"""What the API server adds to the ports of our templates, in JSON with sorted keys."""

_template_hashes: dict[bytes, str] = {}
"""The hash of each template, by SHA-256 of its JSON without default protocols; the oldest first."""


def pod_inputs(booster: Object) -> dict[str, str]:
    """Returns the hash of what users wrote for the pods of each backend, by name of the backend.

    Args:
        booster: the ModelBooster as stored.
    """
    metadata = booster["metadata"]
    shared = {
        "name": metadata.get("name"),
        "namespace": metadata.get("namespace"),
        "uid": uid_of(booster),
    }
    annotations = pod_annotations(booster)
    backends = {str(backend.get("name")): backend for backend in _backends(booster)}
    return {
        name: _digest(
            {
                **shared,
                "annotations": _annotations_for(annotations, backends.keys() - {name}),
                "backend": _for_pods(backend),
            }
        )
        for name, backend in backends.items()
    }


def pod_annotations(booster: Object) -> dict[str, str]:
    """Returns the annotations of a ModelBooster that conversion may read, by name.

    These are all of our group that do not ask for something else, also those that this version
    does not know, so the set does not depend on the version. An edit of them does not change
    ``metadata.generation``.
    """
    return {
        key: str(text)
        for key, text in as_dict(booster["metadata"].get("annotations")).items()
        if key.startswith(f"{WORKLOAD}/") and key not in (ROLLOUT, DELETION_PROTECTION)
    }


def template_hash(template: Object) -> str:
    """Returns a hash of what kthena makes pods of.

    Fields that Go clients and the API server add or drop without a change of meaning do not count:
    empty and zero values, and the default protocol of a port. Neither do replicas of roles and the
    gang policy, which restart no pods.
    """
    # Our template and what is stored of it differ in the default protocol only, which is not
    # hashed. So the walk in Python, 6 % of a new ModelBooster, is needed once for both.
    text = sorted_json(template).replace(_DEFAULT_PROTOCOL, b"")
    digest = hashlib.sha256(text).digest()
    found = _template_hashes.get(digest)
    if found is None:
        roles = [_without(role, {"replicas"}) for role in template.get("roles") or ()]
        found = revision(_significant({**_without(template, {"gangPolicy"}), "roles": roles}))
        if len(_template_hashes) >= MAX_TEMPLATES:
            del _template_hashes[next(iter(_template_hashes))]
        _template_hashes[digest] = found
    return found


def is_new_template(wanted: Desired, live: Object) -> bool:
    """Whether our pod template is not the one that we wrote into a live ModelServing.

    Args:
        wanted: the desired ModelServing.
        live: the live one, with a template.
    """
    if is_written(wanted, live):
        return False
    return wanted_hash(wanted) != template_hash(live["spec"]["template"])


def is_written(wanted: Desired, live: Object) -> bool:
    """Whether we last wrote this pod template. The live one may have been edited since then.

    Args:
        wanted: the desired ModelServing.
        live: the live one.
    """
    written = _first_hash(live)
    if written is None:  # a version without annotations wrote it, or another controller
        return labels_of(live).get(REVISION) == labels_of(wanted.object)[REVISION]
    return written == wanted_hash(wanted)


def wanted_hash(wanted: Desired) -> str:
    """Returns the hash of the pod template of a desired ModelServing.

    With fingerprints, it is not computed again. A held template has the hash of the one that we
    wrote in its place: it is no new template.
    """
    return _first_hash(wanted.object) or template_hash(wanted.object["spec"]["template"])


def accepted_hash(live: Object) -> str | None:
    """Returns the hash that the live template had when we last accepted it; None if unknown."""
    text = annotations_of(live).get(POD_TEMPLATE)
    return text.rpartition("/")[2] if text else None


def _first_hash(serving: Object) -> str | None:
    """Returns the hash of the template that we wrote, or are to write; None if it is not known."""
    text = annotations_of(serving).get(POD_TEMPLATE)
    return text.partition("/")[0] if text else None


def _annotations_for(annotations: Mapping[str, str], others: Collection[str]) -> dict[str, str]:
    """Returns the annotations that conversion may read for a backend.

    Parts of a value that are for another backend (``other=value,...``) are left out.
    """
    found = {}
    for key, text in annotations.items():
        parts = [part.strip() for part in text.split(",")]
        rest = [part for part in parts if part.partition("=")[0].strip() not in others]
        if rest:
            found[key] = ",".join(rest)
    return found


def _backends(booster: Object) -> list[Object]:
    spec = as_dict(booster.get("spec"))
    several = spec.get("backends")
    listed = several if isinstance(several, list) else [spec.get("backend")]
    return [backend for backend in listed if isinstance(backend, dict)]


def _for_pods(backend: Object) -> Object:
    found = _without(backend, NOT_FOR_PODS)
    workers = found.get("workers")
    if isinstance(workers, list):
        found["workers"] = [_without(as_dict(w), NOT_FOR_WORKER_PODS) for w in workers]
    return found


def _without(fields: Object, names: Iterable[str]) -> Object:
    return {key: value for key, value in fields.items() if key not in names}


_NESTED = (dict, list)


def _significant(value: Any) -> Any:
    """Returns an object or a list without what does not count in ``template_hash``."""
    if type(value) is dict:
        found = {}
        for key, item in value.items():
            # Most values are texts: they are not worth a call.
            kind = type(item)
            rest = _significant(item) if kind is dict or kind is list else item
            if rest and not (rest == "TCP" and key == "protocol"):
                found[key] = rest
        return found
    return [_significant(item) if type(item) in _NESTED else item for item in value]


def _digest(value: Any) -> str:
    return hashlib.sha256(standard_json(value)).hexdigest()[:16]
