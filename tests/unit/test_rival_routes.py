"""Which of several ModelRoutes with one name gets the requests, and whom a change concerns."""

from __future__ import annotations

import pytest

from app.apis.kinds import MODEL_BOOSTER, MODEL_ROUTE, Profile
from app.cache.store import Store
from app.values.meta import Key, Object
from controller.cluster.indexed_stores import store_of, store_of_other_routes
from controller.cluster.rival_routes import RivalRoutes
from tests.builders import backend, lora, model, stored_object

MINE = model("mine", backend(loraAdapters=[lora("sql")]), name="chat")


def route(
    namespace: str, name: str, second: int, version: int, *, adapters: tuple[str, ...] = (),
    model_name: str = "chat", going: bool = False,
) -> Object:  # fmt: skip
    metadata = {
        "namespace": namespace,
        "name": name,
        "uid": f"{namespace}-{name}",
        "creationTimestamp": f"2026-11-29T10:00:{second:02}Z",
        "resourceVersion": str(version),
        **({"deletionTimestamp": "2026-11-29T11:00:00Z"} if going else {}),
    }
    spec = {"modelName": model_name, "loraAdapters": list(adapters)}
    return {"metadata": metadata, "spec": spec}


def rivals_of(*routes: Object, others: tuple[Object, ...] = ()) -> RivalRoutes:
    ours, not_ours = store_of(MODEL_ROUTE), store_of_other_routes()
    for obj in routes:
        ours.put(obj)
    for obj in others:
        not_ours.put(obj)
    return RivalRoutes([store_of(MODEL_BOOSTER)], [ours, not_ours])


OWN = route("default", "mine", 30, 500, adapters=("sql",))


@pytest.mark.parametrize(
    ("other", "lost_in"),
    [
        pytest.param(route("tenant", "other", 20, 400), "BC", id="older, untouched since"),
        pytest.param(route("tenant", "other", 20, 600), "ABC", id="older, and written later"),
        pytest.param(route("tenant", "other", 40, 600), "A", id="newer"),
        pytest.param(route("tenant", "other", 30, 400), "", id="created in the same second"),
        pytest.param(route("tenant", "other", 20, 600, model_name="x"), "", id="another name"),
        pytest.param(route("tenant", "other", 20, 600, going=True), "", id="one that is going"),
    ],
)
@pytest.mark.parametrize("profile", list(Profile))
def test_route_that_gets_the_requests(other: Object, lost_in: str, profile: Profile) -> None:
    for found in (rivals_of(OWN, other), rivals_of(OWN, others=(other,))):
        notes = found.notes(MINE, profile)
        assert len(notes) == (profile.value in lost_in)
        assert all(text.startswith('requests for model "chat" reach another') for text in notes)
        assert not any("tenant" in text or "other:" in text for text in notes)
        rule = "the one written last" if profile is Profile.A else "the older one"
        assert all(rule in text for text in notes)


@pytest.mark.parametrize(
    ("other", "lost"),
    [
        (route("tenant", "other", 20, 400, model_name="x", adapters=("sql",)), True),
        (route("tenant", "other", 40, 400, model_name="x", adapters=("sql",)), False),
        (route("default", "other", 20, 400, model_name="x", adapters=("sql",)), True),
        (route("tenant", "other", 40, 400, model_name="sql"), True),
        (route("tenant", "other", 20, 400, model_name="x", adapters=("chat",)), False),
    ],
)
def test_adapters_come_after_models(other: Object, lost: bool) -> None:
    notes = rivals_of(OWN, other).notes(MINE, Profile.C)
    assert [text[:27] for text in notes] == ['requests for adapter "sql" '] * lost


def test_nothing_is_said_before_our_route_is_there() -> None:
    assert rivals_of(route("tenant", "other", 20, 400)).notes(MINE, Profile.C) == ()
    assert rivals_of().notes(MINE, Profile.C) == ()


def test_boosters_that_a_route_concerns() -> None:
    boosters = store_of(MODEL_BOOSTER)
    for namespace, name, made in (
        ("default", "mine", {"name": "chat"}),
        ("tenant", "same", {"name": "chat"}),
        ("tenant", "adapted", {"backends": [backend(loraAdapters=[lora("chat")])]}),
        ("tenant", "another", {"name": "x"}),
    ):
        metadata = {"namespace": namespace, "uid": name, "resourceVersion": "1"}
        boosters.put(stored_object(name, metadata=metadata, **made))
    routes: Store = store_of(MODEL_ROUTE)
    routes.put(OWN)
    record = routes.record(Key("default", "mine"))
    assert record is not None
    found = set(RivalRoutes([boosters], [routes]).rivals(record))
    assert found == {Key("tenant", "same"), Key("tenant", "adapted")}
