"""Detects whether our CustomResourceDefinition of ModelBooster is installed, or another one.

The API server prunes every field that the installed schema does not know, on reads and on writes.
With kthena's definition, objects are read without ``spec.backends``. Any write, even of a label,
then stores them without that field.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from app.apis.kinds import MODEL_BOOSTER
from app.apis.pruning import model_booster_fields
from app.values.meta import Object

NAME = str(MODEL_BOOSTER)
"""Name of the CustomResourceDefinition."""

_PRESERVE = "x-kubernetes-preserve-unknown-fields"

REPLACED_CRD_MESSAGE = (
    f"the installed CustomResourceDefinition {NAME} is not the one of model-booster, so the API "
    "server drops fields of ModelBoosters. Restore it: helm upgrade with crds.install=true, or "
    "model-booster crd | kubectl apply --server-side --force-conflicts -f -"
)
"""The message while another definition is installed, with the fix for cluster administrators."""


def is_unpruned(booster: Object) -> bool:
    """Returns whether an object was read with our definition.

    Our schema has a default for ``status.modelName``, so every object read with it has that field.
    The definitions of kthena do not have the field.

    Args:
        booster: a ModelBooster as the API server returned it.
    """
    status = booster.get("status")
    return isinstance(status, dict) and "modelName" in status


def missing_fields(schema: Object) -> list[str]:
    """Returns the fields of our schema that another schema does not have, as sorted paths.

    Our fields come from the validator, which the process needs anyway. Making the schema of the
    definition takes a fifth of a start.

    Args:
        schema: OpenAPI schema of the installed ModelBooster.
    """
    ours = model_booster_fields()["properties"]
    theirs = schema.get("properties") or {}
    return sorted(
        path for part in ("spec", "status") for path in _missing(ours[part], theirs.get(part), part)
    )


def _missing(ours: Object, theirs: Any, path: str) -> Iterator[str]:
    if not isinstance(theirs, dict):
        yield path
        return
    known = theirs.get("properties") or {}
    keeps_all = bool(theirs.get(_PRESERVE))
    if ours.get(_PRESERVE) and not keeps_all:
        yield f"{path}.*"
    for name, field in (ours.get("properties") or {}).items():
        if name in known or not keeps_all:
            yield from _missing(field, known.get(name), f"{path}.{name}")
    for key, mark in (("items", "[]"), ("additionalProperties", ".*")):
        if isinstance(ours.get(key), dict) and not keeps_all:
            yield from _missing(ours[key], theirs.get(key), f"{path}{mark}")
