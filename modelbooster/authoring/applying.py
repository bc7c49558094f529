"""Applies a ModelBooster that a user has made, as ``kubectl apply --server-side`` does."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import NamedTuple

from app.apis.kinds import MODEL_BOOSTER
from app.errors import ApiError, Conflict, Forbidden, NotFound, OperatorError
from app.kube import Kube
from app.values.meta import Object

FIELD_MANAGER = "model-booster-create"
"""Field manager of the command line; the controller's own one must not own a user's fields."""


class Outcome(StrEnum):
    """What an apply did, in the words of kubectl."""

    CREATED = "created"
    CONFIGURED = "configured"
    UNCHANGED = "unchanged"


class Applied(NamedTuple):
    """The result of an apply.

    Args:
        outcome: what it did.
        stored: the object as it is stored, or as it would be.
        warnings: the warnings of admission.
    """

    outcome: Outcome
    stored: Object
    warnings: list[str]


class ApplyRefused(OperatorError):
    """The API server or a webhook refuses the object; the text is theirs, with the way out."""


async def apply_booster(
    kube: Kube, booster: Object, *, force: bool = False, dry_run: bool = False
) -> Applied:
    """Applies a ModelBooster.

    Args:
        kube: the client.
        booster: the object; it names its namespace.
        force: whether to take over fields that other clients have set.
        dry_run: whether to store nothing.

    Raises:
        ApplyRefused: it is refused.
    """
    name, namespace = booster["metadata"]["name"], booster["metadata"]["namespace"]
    try:
        before: Object | None = await kube.get(MODEL_BOOSTER, namespace, name)
    except Forbidden as exc:
        raise ApplyRefused(refusal(exc)) from exc
    except NotFound as exc:
        before = None
        if (
            "could not find the requested resource" in exc.message
            or "page not found" in exc.message
        ):
            raise ApplyRefused(
                "the cluster does not know ModelBooster: install the chart of model-booster first"
            ) from exc
    try:
        stored, warnings = await kube.apply_as(
            FIELD_MANAGER, MODEL_BOOSTER, booster, force=force, dry_run=dry_run
        )
    except Conflict as exc:
        raise ApplyRefused(
            f"{exc.message}; another client has set these fields: edit the object with that "
            "client, or take the fields over with --force-conflicts"
        ) from exc
    except ApiError as exc:
        raise ApplyRefused(refusal(exc)) from exc
    if before is None:
        return Applied(Outcome.CREATED, stored, warnings)
    same = _content(before) == _content(stored)
    return Applied(Outcome.UNCHANGED if same else Outcome.CONFIGURED, stored, warnings)


def refusal(error: ApiError) -> str:
    """Returns the API server's text, and the way out where the text has none."""
    text = error.message
    # A webhook that denies a request answers 403, too.
    if isinstance(error, Forbidden) and re.search(r"cannot \w+ resource", text):
        return f"{text}; ask for the ClusterRole edit in this namespace"
    if "failed calling webhook" in text:
        return f"{text}; the webhook does not answer, so look at its pods and their log"
    if "field not declared in schema" in text:
        return (
            f"{text}; the cluster has the CustomResourceDefinition of another release: write its "
            "form with --kthena RELEASE, or restore ours: "
            "model-booster crd | kubectl apply --server-side --force-conflicts -f -"
        )
    if gone := re.fullmatch(r'namespaces "(.+)" not found', text):
        return f"{text}; create it: kubectl create namespace {gone[1]}"
    return text


def _content(obj: Object) -> object:
    """Returns what a user writes of an object."""
    metadata = obj["metadata"]
    return obj.get("spec"), metadata.get("labels"), metadata.get("annotations")
