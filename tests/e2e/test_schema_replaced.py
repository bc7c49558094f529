"""kthena's CustomResourceDefinition applied over ours: what users and operators see, and lose."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

from app.apis.kinds import MODEL_BOOSTER, MODEL_SERVING
from app.values.meta import Object
from tests.builders import backend, booster_object
from tests.conftest import Kubectl
from tests.controlplane import crds
from tests.controlplane.api import Refused
from tests.controlplane.plane import ControlPlane
from tests.e2e.installation import Installation, eventually
from tests.world import Admin

NAME = crds.model_booster()["metadata"]["name"]
SENTENCE = "not possible now: the installed CustomResourceDefinition"
REMEDY = "model-booster crd | kubectl apply --server-side --force-conflicts -f -"


@pytest.fixture
def definition(plane: ControlPlane) -> Iterator[Admin]:
    """The administrator of definitions; what was installed before is back after the test."""
    cluster = Admin(plane.api, "")
    before = cluster.get(crds.CRD, NAME)
    assert before is not None
    yield cluster
    cluster.put(crds.CRD, before)


def readings(installation: Installation, process: str) -> list[tuple[str, float]]:
    """What every pod of a Deployment says: /readyz, and the metric."""
    found = []
    for pod in installation.kubelet.pods(process).values():
        lines = pod.ask("/metrics").text.splitlines()
        (value,) = (line.split()[1] for line in lines if line.startswith("modelbooster_schema_re"))
        found.append((pod.ask("/readyz").text, float(value)))
    return found


def is_whole(obj: Object) -> bool:
    return "modelName" in obj.get("status", {})


@pytest.mark.parametrize(
    ("release", "how"),
    [
        # Flux, and Argo CD with ServerSideApply=true
        pytest.param("v0.4.0", "apply", id="v0.4.0-apply"),
        # kubectl replace, and Argo CD with Replace=true
        pytest.param("v1.0.0", "replace", id="v1.0.0-replace"),
    ],
)
def test_replaced_crd_is_reported_and_nothing_is_lost(
    installation: Installation,
    plane: ControlPlane,
    kubectl: Kubectl,
    admin: Admin,
    definition: Admin,
    release: str,
    how: str,
) -> None:
    listed, single = booster_object("listed"), booster_object("single", backend=backend())
    for obj in (listed, single):
        admin.create(MODEL_BOOSTER, obj)
        admin.until(MODEL_BOOSTER, obj["metadata"]["name"], lambda o: o["status"]["conditions"])

    if how == "apply":
        crds.install(plane.api, [crds.kthena_booster(release)])
    else:
        definition.put(crds.CRD, crds.kthena_booster(release))
    admin.until(MODEL_BOOSTER, "listed", lambda o: not is_whole(o))

    # From the first moment on, for every writer and every field.
    labelled = kubectl("label", "mb/listed", "team=x")
    assert SENTENCE in labelled.stderr
    assert REMEDY in labelled.stderr
    for name in ("listed", "single"):
        with pytest.raises(Refused, match=SENTENCE):
            admin.patch(MODEL_BOOSTER, name, {"status": {"conditions": []}}, subresource="status")
    with pytest.raises(Refused, match=SENTENCE):
        admin.patch(MODEL_BOOSTER, "single", {"spec": {"name": "other"}})

    eventually(lambda: all(value == 1 for _, value in readings(installation, "controller")))
    eventually(lambda: all(value == 1 for _, value in readings(installation, "webhook")))
    assert all(
        "[-]schema failed: the in" in said for said, _ in readings(installation, "controller")
    )
    assert all(said == "ok" for said, _ in readings(installation, "webhook")), "it must refuse"
    theirs = backend(replicas=1, minReplicas=1, maxReplicas=1)  # what either release demands
    with pytest.raises(Refused, match=SENTENCE):
        admin.create(MODEL_BOOSTER, booster_object("late", backend=theirs))
    eventually(lambda: "SchemaReplaced" in kubectl("events", "--for", "mb/listed").stdout)

    # What is to go, goes.
    assert kubectl("delete", "mb/single").code == 0
    admin.until_gone(MODEL_BOOSTER, "single")

    # The remedy of the sentence.
    crd = subprocess.run(
        [sys.executable, "-m", "modelbooster", "crd"], capture_output=True, text=True, check=True
    ).stdout
    applied = kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=crd)
    assert applied.code == 0, applied.stderr
    admin.until(MODEL_BOOSTER, "listed", is_whole)
    admin.patch(MODEL_SERVING, "listed-b1", {"spec": {"replicas": 5}})
    admin.until(MODEL_SERVING, "listed-b1", lambda o: o["spec"]["replicas"] == 1)
    eventually(lambda: set(readings(installation, "controller")) == {("ok", 0)})
    eventually(lambda: set(readings(installation, "webhook")) == {("ok", 0)})
    stored = admin.until(MODEL_BOOSTER, "listed")
    wanted = json.dumps(listed["spec"], sort_keys=True)
    assert json.dumps(stored["spec"], sort_keys=True) == wanted
    assert stored["metadata"]["generation"] == 1
    assert kubectl("label", "mb/listed", "team=x").code == 0
    assert kubectl("delete", "mb/listed").code == 0
