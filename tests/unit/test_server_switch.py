"""A ModelServer keeps what its old pods need until the first new one is available."""

from __future__ import annotations

from typing import Any

import pytest

from app.apis.kinds import MODEL_SERVER, MODEL_SERVING, REVISION, Profile
from app.convert import desired_children
from app.convert.options import Options
from app.model.children import Desired
from app.values.meta import Object
from controller.plan.actions import of_kind
from controller.plan.server_switch import held_notes, hold_servers
from tests.builders import backend, model, worker

DONE = {"replicas": 3, "updatedReplicas": 3, "currentReplicas": 3, "availableReplicas": 3}


def children(replicas: int = 3, **config: Any) -> list[Desired]:
    of = backend("a", replicas=replicas, workers=[worker(config=config)])
    return desired_children(model("demo", of), Profile.B, Options())


def live(of: list[Desired], seen: int = 2, **status: Any) -> list[Object]:
    """Returns the children as stored, the ModelServing with a status of that generation."""
    found = [child.object for child in of]
    serving = of_kind(MODEL_SERVING, found)["demo-a"]
    serving = {
        **serving,
        "metadata": {**serving["metadata"], "generation": 2},
        "status": {"observedGeneration": seen, **status},
    }
    return [serving, *(obj for obj in found if obj["kind"] != MODEL_SERVING.kind)]


def server(of: list[Desired] | tuple[Desired, ...]) -> Object:
    return next(child.object for child in of if child.resource is MODEL_SERVER)


OLD, NEW = children(), children(port=9000)


def after_the_write(**status: Any) -> list[Object]:
    """The ModelServing has the new template; the ModelServer is as before."""
    seen = status.pop("seen", 2)
    others = [obj for obj in live(OLD) if obj["kind"] != MODEL_SERVING.kind]
    return [live(NEW, seen, **status)[0], *others]


@pytest.mark.parametrize(
    ("observed", "port"),
    [
        pytest.param(live(OLD, **DONE), 8000, id="before the pods are changed"),
        pytest.param(after_the_write(seen=1, **DONE), 8000, id="the status is of the old ones"),
        pytest.param(
            after_the_write(replicas=3, updatedReplicas=0, currentReplicas=3, availableReplicas=2),
            8000,
            id="an old one ends",
        ),
        pytest.param(
            after_the_write(
                replicas=3,
                updatedReplicas=0,
                currentReplicas=3,
                availableReplicas=3,
                conditions=[{"type": "Available", "status": "True"}],
            ),
            8000,
            id="the change is seen, and the old ones are still there",
        ),
        pytest.param(
            after_the_write(replicas=3, updatedReplicas=1, currentReplicas=2, availableReplicas=2),
            8000,
            id="the first new one starts",
        ),
        pytest.param(
            after_the_write(replicas=3, updatedReplicas=1, currentReplicas=2, availableReplicas=3),
            9000,
            id="the first new one is available",
        ),
        pytest.param(after_the_write(**DONE), 9000, id="all are"),
        pytest.param(
            after_the_write(replicas=1, updatedReplicas=1, availableReplicas=0),
            8000,
            id="the only one starts",
        ),
        pytest.param(
            after_the_write(replicas=1, updatedReplicas=1, availableReplicas=1),
            9000,
            id="the only one is available",
        ),
    ],
)
def test_the_port_follows_the_first_new_replica(observed: list[Object], port: int) -> None:
    held = hold_servers(NEW, observed)
    assert server(held)["spec"]["workloadPort"] == {"port": port}
    labels = [server(of)["metadata"]["labels"][REVISION] for of in (held, OLD, NEW)]
    assert labels[0] == labels[1 if port == 8000 else 2]
    note = (
        'ModelServer "demo-a" keeps workloadPort until the first replica with the new pod template '
        "is available"
    )
    assert held_notes(held, NEW) == ({"demo-a": note} if port == 8000 else {})


def test_the_served_name_is_held_too() -> None:
    settings: dict[str, Any] = {"served-model-name": "chat"}
    named = children(**settings)
    assert server(hold_servers(named, live(OLD, **DONE)))["spec"]["model"] == "demo"


def test_an_edit_by_hand_is_repaired_at_once() -> None:
    observed = live(OLD, replicas=3, updatedReplicas=3, availableReplicas=0)
    mine = of_kind(MODEL_SERVER, observed)["demo-a"]
    edited = {**mine, "spec": {**mine["spec"], "workloadPort": {"port": 1}}}
    observed = [edited if obj is mine else obj for obj in observed]
    assert hold_servers(OLD, observed) == tuple(OLD)


def test_another_selector_is_not_held() -> None:
    """The router up to v0.2.0 forgets a pod that is ready before a ModelServer selects it."""
    observed = live(OLD, **DONE)
    mine = of_kind(MODEL_SERVER, observed)["demo-a"]
    other = {**mine, "spec": {**mine["spec"], "workloadSelector": {"matchLabels": {"a": "b"}}}}
    observed = [other if obj is mine else obj for obj in observed]
    assert hold_servers(NEW, observed) == tuple(NEW)


@pytest.mark.parametrize("kind", [MODEL_SERVER.kind, MODEL_SERVING.kind])
def test_without_old_pods_or_an_old_server_nothing_is_held(kind: str) -> None:
    observed = [obj for obj in live(OLD, **DONE) if obj["kind"] != kind]
    assert hold_servers(NEW, observed) == tuple(NEW)


def test_without_replicas_nothing_is_held() -> None:
    observed = live(children(replicas=0))
    assert hold_servers(children(replicas=0, port=9000), observed) == tuple(
        children(replicas=0, port=9000)
    )
