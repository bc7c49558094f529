"""The models that are there through all steps, and whether the controller looks after them."""

from __future__ import annotations

import time

from app.apis.kinds import MODEL_BOOSTER, MODEL_ROUTE
from app.values.meta import Object
from tests.admissions import PROTECTED, Admissions
from tests.builders import backend, booster_object
from tests.controlplane.api import Refused
from tests.pods.stage import MODELS, Stage, StepFailed
from tests.upgrade.serving import pod_uids

NAME = "chat"
SECONDS = 120


def is_ready(booster: Object) -> bool:
    """Whether a model serves."""
    conditions = {c["type"]: c["status"] for c in booster["status"]["conditions"]}
    return bool(conditions["Ready"] == "True")


def create(stage: Stage) -> None:
    """Creates the models, and waits until they serve."""
    stage.models.put(MODEL_BOOSTER, _model(50))
    stage.models.put(MODEL_BOOSTER, Admissions.protected(MODELS))
    for name in (NAME, PROTECTED):
        stage.models.until(MODEL_BOOSTER, name, is_ready, seconds=SECONDS)


def pods(stage: Stage) -> dict[str, str]:
    """Returns the uid of every pod of the models, by name."""
    return pod_uids(stage.models)


def check_unchanged(stage: Stage, before: dict[str, str]) -> None:
    """Checks that the models serve from the same pods as before.

    Raises:
        StepFailed: a pod was replaced.
    """
    stage.models.until(MODEL_BOOSTER, NAME, is_ready, seconds=SECONDS)
    now = pods(stage)
    if not before or now != before:
        raise StepFailed(f"the pods of the models were replaced: {before} before, {now} now")


def check_acts(stage: Stage) -> float:
    """Edits a model and waits until the controller has acted on it; returns the seconds."""
    route = stage.models.until(MODEL_ROUTE, NAME)
    weight = 1 + route["spec"]["rules"][0]["targetModels"][0]["weight"] % 100
    begin = time.monotonic()
    while True:
        try:
            stage.models.put(MODEL_BOOSTER, _model(weight))
            break
        except Refused as exc:  # a webhook that is frozen just now
            if exc.status < 500 or time.monotonic() - begin > SECONDS:
                raise
    stage.models.until(
        MODEL_ROUTE,
        NAME,
        lambda o: o["spec"]["rules"][0]["targetModels"][0]["weight"] == weight,
        seconds=SECONDS,
    )
    return time.monotonic() - begin


def _model(weight: int) -> Object:
    return booster_object(NAME, backend("b1", routeWeight=weight), namespace=MODELS)
