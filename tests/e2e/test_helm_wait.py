"""``helm --wait`` on a release that contains a ModelBooster.

Helm 4 and Flux wait with kstatus, which reads ``observedGeneration``, ``Ready`` and ``Stalled``.
Helm 3 waits for no custom resource.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from app.apis.kinds import MODEL_BOOSTER, MODEL_SERVING
from app.values.meta import Object
from tests.builders import backend, booster_object, worker
from tests.conftest import Ran
from tests.controlplane import clients
from tests.controlplane.plane import ControlPlane
from tests.world import Admin

pytestmark = pytest.mark.slow

PATIENT = ("--wait", "--timeout", "90s")
IMPATIENT = ("--wait", "--timeout", "5s")
NOT_READY = "/m not ready. status: InProgress"

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def chart(tmp_path: Path) -> Path:
    """A chart of a user: its templates are what a test writes there."""
    folder = tmp_path / "models"
    (folder / "templates").mkdir(parents=True)
    about = {"apiVersion": "v2", "name": "models", "version": "1.0.0"}
    (folder / "Chart.yaml").write_text(yaml.safe_dump(about))
    return folder


@pytest.fixture
def start(plane: ControlPlane, admin: Admin, chart: Path, tmp_path: Path) -> Iterator[Start]:
    """Starts a command of helm for the release ``models``, with one ModelBooster in its chart."""
    environment = {
        "KUBECONFIG": str(plane.kubeconfig),
        "HOME": str(tmp_path),
        "PATH": "/usr/bin:/bin",
    }
    started: list[subprocess.Popen[str]] = []

    def start(
        command: str, booster: Object, *options: str, major: int = 4
    ) -> subprocess.Popen[str]:
        (chart / "templates" / "model.yaml").write_text(yaml.safe_dump(booster))
        process = subprocess.Popen(
            [clients.helm(major), command, "models", chart, "-n", admin.namespace, *options],
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def ended(process: subprocess.Popen[str]) -> Ran:
    out, _ = process.communicate(timeout=120)
    return Ran(out, "", process.returncode)


def is_active(booster: Object) -> bool:
    status = {c["type"]: c for c in booster["status"]["conditions"]}
    generation = booster["metadata"]["generation"]
    active = status["Active"]
    return (active["status"], active["observedGeneration"]) == ("True", generation)


def test_helm_4_waits_until_the_model_is_active(start: Start, admin: Admin) -> None:
    installed = start("install", booster_object("m"), *PATIENT)
    first = admin.until(MODEL_SERVING, "m-b1")
    admin.serve(MODEL_SERVING, "m-b1")
    said = ended(installed)
    assert said.code == 0, said.stdout
    assert is_active(admin.until(MODEL_BOOSTER, "m"))

    # The edit before is still Active: an upgrade does not wait for that.
    edited = booster_object("m", backend(workers=[worker(image="vllm/vllm-openai:v0.16.0")]))
    said = ended(start("upgrade", edited, *IMPATIENT))
    assert (said.code, NOT_READY in said.stdout) == (1, True), said.stdout
    upgraded = start("upgrade", edited, *PATIENT)
    generation = first["metadata"]["generation"]
    admin.until(MODEL_SERVING, "m-b1", lambda o: o["metadata"]["generation"] > generation)
    admin.serve(MODEL_SERVING, "m-b1")
    said = ended(upgraded)
    assert said.code == 0, said.stdout
    assert is_active(admin.until(MODEL_BOOSTER, "m"))


def test_helm_4_names_a_model_that_is_not_active_in_time(start: Start) -> None:
    said = ended(start("install", booster_object("m"), *IMPATIENT))
    assert (said.code, NOT_READY in said.stdout) == (1, True), said.stdout


def test_helm_4_does_not_wait_for_a_model_that_has_failed(start: Start) -> None:
    reserved = booster_object("m")
    reserved["spec"]["backends"][0]["type"] = "MindIE"
    said = ended(start("install", reserved, *PATIENT))
    assert said.code == 1
    assert "/m not ready. status: Failed, message: spec.backends[0].type: " in said.stdout
    assert "deadline exceeded" not in said.stdout


def test_helm_3_waits_for_no_custom_resource(start: Start, admin: Admin) -> None:
    said = ended(start("install", booster_object("m"), *PATIENT, major=3))
    assert said.code == 0, said.stdout
    booster = admin.until(MODEL_BOOSTER, "m", lambda o: o["status"]["conditions"])
    assert not is_active(booster)
