"""Taking models over from kthena's own controller, if its program is given."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.apis.kinds import MODEL_BOOSTER, MODEL_SERVING
from app.values.meta import Object
from controller.plan.fingerprints import ROLLOUT
from controller.plan.rollout import ALLOW
from tests.builders import backend
from tests.controlplane import crds
from tests.pods.stage import MODELS, Stage, eventually
from tests.pods.step import NotGiven
from tests.pods.steps import installation, model

VARIABLE = "KTHENA_CM"
RELEASE = "v0.4.0"
"""The release whose definitions are installed; the program must be of it."""

NAME = "inherited"


def from_kthena(stage: Stage) -> None:
    """kthena's controller serves a model; ours takes it over, and restarts its pods when told."""
    program = os.environ.get(VARIABLE)
    if not program:
        raise NotGiven(f"{VARIABLE}=PATH can name kthena-controller-manager of {RELEASE}")
    installation.remove_everything(stage, 4)
    installation.install_kthena(stage, "B")
    crds.install(stage.api, [crds.kthena_booster(RELEASE)])
    with _kthena(stage, Path(program)):
        stage.models.create(MODEL_BOOSTER, _booster())
        stage.models.until_listed(MODEL_SERVING, bool, seconds=model.SECONDS)
        eventually(lambda: model.pods(stage), "the model of kthena's controller has pods")
    pods = model.pods(stage)
    installation.install(stage, 4, "--take-ownership", "--force-conflicts")
    stage.models.until(MODEL_BOOSTER, NAME, _is_held, seconds=model.SECONDS)
    assert model.pods(stage) == pods, "pods were replaced before anybody allowed it"
    stage.kubectl("annotate", "modelbooster", NAME, f"{ROLLOUT}={ALLOW}", "-n", MODELS)
    stage.models.until(MODEL_BOOSTER, NAME, lambda o: not _is_held(o), seconds=model.SECONDS)
    stage.models.until(MODEL_BOOSTER, NAME, model.is_ready, seconds=model.SECONDS)


@contextmanager
def _kthena(stage: Stage, program: Path) -> Iterator[None]:
    """kthena's own ModelBooster controller runs, and none of its other controllers."""
    flags = ("--kubeconfig", str(stage.kubeconfig), "--controllers=modelbooster")
    with (stage.folder / "kthena-controller-manager.log").open("wb") as log:
        process = subprocess.Popen(
            [program, *flags, "--enable-webhook=false"], stdout=log, stderr=log
        )
    try:
        yield
    finally:
        process.terminate()
        process.wait(60)


def _booster() -> Object:
    return {
        "apiVersion": MODEL_BOOSTER.api_version,
        "kind": MODEL_BOOSTER.kind,
        "metadata": {"name": NAME},
        "spec": {"backend": backend("b1")},
    }


def _is_held(booster: Object) -> bool:
    reasons = {c["type"]: c["reason"] for c in booster["status"]["conditions"]}
    return bool(reasons["Initialized"] == "RolloutHeld")
