"""Which pods the router of an old kthena does not find, and when they are annotated."""

from __future__ import annotations

import pytest

from app.apis.kinds import KthenaRelease, Profile
from app.values.meta import Object
from controller.status.forgotten_pods import (
    DELAY_SECONDS,
    PodTouch,
    due_touches,
    forgets_pods,
    forgotten_notes,
    forgotten_pods,
    next_touch,
)

SERVERS = {
    name: {"metadata": {"name": f"m-{name}", "uid": f"server-{name}", "creationTimestamp": made}}
    for name, made in (("a", "2026-11-29T10:00:05Z"), ("b", "2026-11-29T10:00:00Z"))
}


def pod(uid: str, created: str = "2026-11-29T10:00:01Z", server: str = "", of: str = "a") -> Object:
    labels = {"workload.serving.volcano.sh/backend-name": of}
    return {"metadata": {"uid": uid, "labels": labels}, "created": created, "server": server}


@pytest.mark.parametrize(
    ("profile", "release", "want"),
    [
        (Profile.A, None, True),
        (Profile.B, None, None),
        (Profile.C, None, False),
        (None, None, None),
        (Profile.B, KthenaRelease(0, 2, 0), True),
        (Profile.B, KthenaRelease(0, 3, 0), False),
        (Profile.B, KthenaRelease(0, 4, 0), False),
        (None, KthenaRelease(0, 1, 0), True),
    ],
)
def test_release_that_forgets_pods(
    profile: Profile | None, release: KthenaRelease | None, want: bool | None
) -> None:
    assert forgets_pods(profile, release) is want


@pytest.mark.parametrize(
    ("record", "is_forgotten"),
    [
        pytest.param(pod("p"), True, id="older than its ModelServer"),
        pytest.param(pod("p", of="b"), False, id="younger"),
        pytest.param(pod("p", "2026-11-29T10:00:05Z"), False, id="of the same second"),
        pytest.param(pod("p", server="server-a"), False, id="annotated"),
        pytest.param(pod("p", server="another"), True, id="annotated for an earlier one"),
        pytest.param(pod("p", of="x"), False, id="without a ModelServer"),
        pytest.param(pod("p", ""), False, id="of unknown age"),
    ],
)
def test_pods_that_are_forgotten(record: Object, is_forgotten: bool) -> None:
    assert bool(list(forgotten_pods([record], SERVERS))) is is_forgotten


def test_pods_are_annotated_once_and_after_the_router_has_seen_the_server() -> None:
    touches: dict[str, PodTouch] = {}
    forgotten = list(forgotten_pods([pod("p"), pod("q")], SERVERS))
    assert due_touches(forgotten, touches, 100) == []
    assert next_touch(touches, 100) == DELAY_SECONDS
    now = 100 + DELAY_SECONDS
    assert [p["metadata"]["uid"] for p in due_touches(forgotten, touches, now)] == ["p", "q"]
    touches["p"].due, touches["q"].due = None, now + 30  # the second one failed
    assert due_touches(forgotten, touches, now) == []
    assert next_touch(touches, now) == 30
    assert [p["metadata"]["uid"] for p in due_touches(forgotten, touches, now + 30)] == ["q"]

    anew = {"a": {"metadata": {**SERVERS["a"]["metadata"], "uid": "server-2"}}}
    assert due_touches(list(forgotten_pods([pod("p")], anew)), touches, 200) == []
    assert touches == {"p": PodTouch("server-2", 200 + DELAY_SECONDS)}  # pods that are gone too

    assert due_touches([], touches, 300) == []
    assert touches == {}
    assert next_touch(touches, 300) is None


def test_what_is_said_of_pods_that_may_not_be_annotated() -> None:
    (note,) = forgotten_notes(forgotten_pods([pod("p"), pod("q"), pod("r", of="b")], SERVERS))
    assert note == (
        'requests to backend a may fail with 404: ModelServer "m-a" was created again, and the '
        "router of the installed kthena forgets the pods that are older; set controller.touchPods "
        "of the chart, or replace these pods"
    )
