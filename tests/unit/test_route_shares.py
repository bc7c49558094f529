"""Which backends get requests, as a table: what is available when, and the weights of the route."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from app.apis.kinds import MODEL_ROUTE, MODEL_SERVING, REVISION, Profile
from app.convert import desired_children
from app.convert.options import Options
from app.model.children import revision
from app.model.forms import Model
from app.values.meta import Object
from controller.plan.route_shares import RouteDecision, RouteState, decide_route
from controller.plan.route_text import traffic
from tests.builders import backend, disaggregated, lora, model

READY = 10.0


def serving(name: str, available: int = 0, replicas: int = 1) -> Object:
    return {
        "kind": MODEL_SERVING.kind,
        "metadata": {"name": name},
        "spec": {"replicas": replicas},
        "status": {"availableReplicas": available},
    }


def pod(name: str, *, ready: bool, role: str = "leader", group: str = "") -> Object:
    labels = {"workload.serving.volcano.sh/backend-name": name}
    return {"metadata": {"labels": labels}, "ready": ready, "role": role, "group": group}


class Route:
    """A ModelBooster over time; what is decided is what is stored."""

    def __init__(self, of: Model) -> None:
        self.model = of
        self.state = RouteState()
        self.live: Object | None = None
        self.writes = 0
        self.decision = RouteDecision(())

    def at(self, now: float, *available: str) -> str:
        """Returns the weights of the first rule after a pass at this time."""
        return self.seen(now, [serving(f"demo-{name}", 1) for name in available])

    def seen(self, now: float, servings: Iterable[Object], pods: Iterable[Object] = ()) -> str:
        children = tuple(desired_children(self.model, Profile.B, Options()))
        observed = [*servings, *([] if self.live is None else [self.live])]
        self.decision = decide_route(self.model, children, observed, pods, self.state, now, READY)
        route = next(c for c in self.decision.children if c.resource is MODEL_ROUTE).object
        if self.live is None or self.live["spec"] != route["spec"]:
            self.writes += 1
        self.live = route
        assert route["metadata"]["labels"][REVISION] == revision(route["spec"])
        return self.rule(0)

    def rule(self, number: int) -> str:
        assert self.live is not None
        targets = self.live["spec"]["rules"][number]["targetModels"]
        return " ".join(
            f"{t['modelServerName'].removeprefix('demo-')}={t['weight']}" for t in targets
        )

    def restart(self) -> None:
        """The controller starts anew."""
        self.state = RouteState()


def two() -> Model:
    return model("demo", backend("a", routeWeight=95), backend("b", routeWeight=5))


def three() -> Model:
    return model("demo", *(backend(name) for name in "abc"))


STEPS = {
    "none, then all within a second: one write in all": (
        three(),
        [
            (0, "", "a=100 b=100 c=100"),
            (60, "a", "a=100 b=100 c=100"),
            (60.5, "ab", "a=100 b=100 c=100"),
            (60.9, "abc", "a=100 b=100 c=100"),
            (61, "abc", "a=100 b=100 c=100"),
        ],
        1,
    ),
    "one after the other": (
        three(),
        [
            (0, "", "a=100 b=100 c=100"),
            (60, "a", "a=100 b=100 c=100"),
            (61, "a", "a=100 b=0 c=0"),
            (70, "ab", "a=100 b=0 c=0"),
            (80, "ab", "a=100 b=100 c=0"),
            (90, "abc", "a=100 b=100 c=0"),
            (100, "abc", "a=100 b=100 c=100"),
        ],
        4,
    ),
    "a short interruption": (
        two(),
        [
            (0, "ab", "a=95 b=5"),
            (60, "a", "a=95 b=5"),
            (60.9, "ab", "a=95 b=5"),
            (62, "ab", "a=95 b=5"),
        ],
        1,
    ),
    "down and up": (
        two(),
        [
            (0, "ab", "a=95 b=5"),
            (60, "b", "a=95 b=5"),
            (61, "b", "a=0 b=5"),
            (90, "ab", "a=0 b=5"),
            (99, "ab", "a=0 b=5"),
            (100, "ab", "a=95 b=5"),
        ],
        3,
    ),
    "a canary that crashes again and again": (
        two(),
        [(0, "ab", "a=95 b=5"), (5, "a", "a=95 b=5"), (6, "a", "a=95 b=0")]
        + [(10.0 + n, "a" if n % 9 == 0 else "ab", "a=95 b=0") for n in range(600)],
        2,
    ),
    "the last one is lost for a moment": (
        two(),
        [
            (0, "ab", "a=95 b=5"),
            (5, "a", "a=95 b=5"),
            (6, "a", "a=95 b=0"),
            (20, "", "a=95 b=0"),
            (29, "a", "a=95 b=0"),
        ],
        2,
    ),
    "all are lost": (
        two(),
        [
            (0, "ab", "a=95 b=5"),
            (5, "a", "a=95 b=5"),
            (6, "a", "a=95 b=0"),
            (20, "", "a=95 b=0"),
            (30, "", "a=95 b=5"),
        ],
        3,
    ),
    "the other one comes when the last one is lost": (
        two(),
        [
            (0, "a", "a=95 b=0"),
            (20, "ab", "a=95 b=0"),
            (21, "b", "a=95 b=5"),  # at once, the loss of a may settle
            (22, "b", "a=0 b=5"),
        ],
        3,
    ),
}


@pytest.mark.parametrize(("of", "steps", "writes"), STEPS.values(), ids=STEPS.keys())
def test_weights_over_time(of: Model, steps: list[tuple[float, str, str]], writes: int) -> None:
    route = Route(of)
    assert [(now, who, route.at(now, *who)) for now, who, _ in steps] == steps
    assert route.writes == writes


@pytest.mark.parametrize(("of", "steps", "writes"), STEPS.values(), ids=STEPS.keys())
def test_a_restart_after_each_step_writes_nothing(
    of: Model, steps: list[tuple[float, str, str]], writes: int
) -> None:
    route = Route(of)
    for now, who, _ in steps[:20]:
        before = route.at(now, *who)
        route.restart()
        assert route.at(now, *who) == before


def test_a_wait_is_asked_for() -> None:
    route = Route(two())
    waits = []
    for now, who in ((0, "ab"), (60, "a"), (61, "a"), (70, "ab"), (80, "ab"), (90, "")):
        route.at(now, *who)
        waits.append(route.decision.wait)
    assert waits == [None, 1, None, 10, None, None]


def test_an_added_backend_begins_with_nothing_and_costs_no_further_write() -> None:
    route = Route(model("demo", backend("a")))
    assert route.at(0, "a") == "a=100"
    route.model = two()
    assert route.at(10, "a") == "a=95 b=0"
    assert route.at(60, "a", "b") == "a=95 b=0"
    assert route.at(70, "a", "b") == "a=95 b=5"
    assert route.writes == 3


def test_a_removed_backend_is_forgotten() -> None:
    route = Route(two())
    route.at(0, "a")
    route.model = model("demo", backend("b"))
    assert route.at(10) == "b=100"


@pytest.mark.parametrize("replicas", [0, 1])
def test_a_backend_that_goes_to_zero_replicas_leaves_while_its_pods_end(replicas: int) -> None:
    route = Route(model("demo", backend("a"), backend("b", replicas=replicas)))
    route.at(0, "a", "b")
    zero = {**serving("demo-b", 1), "spec": {"replicas": replicas}}
    want = "a=100 b=100" if replicas else "a=100 b=0"
    assert route.seen(5, [serving("demo-a", 1), zero]) == want  # with the edit, not a second later
    assert route.decision.wait is None


def test_a_backend_at_zero_replicas_does_not_shorten_the_time_of_another() -> None:
    route = Route(three())
    route.at(0, "a", "b", "c")
    servings = [serving("demo-a", 1), serving("demo-b", 1, 0), serving("demo-c", 0)]
    edited = model("demo", backend("a"), backend("b", replicas=0), backend("c"))
    route.model = edited
    assert route.seen(5, servings) == "a=100 b=0 c=100"
    assert route.decision.wait == 1
    assert route.seen(6, servings) == "a=100 b=0 c=0"


def test_what_is_told_of_a_decision() -> None:
    """An Event belongs to a write; a decision that no write follows is not told later."""
    state = RouteState()
    assert not state.tell(is_written=True, is_pending=False)
    state.is_told = False
    assert not state.tell(is_written=False, is_pending=True)  # the write failed, and is repeated
    assert state.tell(is_written=True, is_pending=False)
    state.is_told = False
    assert not state.tell(is_written=False, is_pending=False)  # the stored route has it already
    assert state.is_told


def test_a_weight_of_the_user_that_is_zero_stays_and_one_that_is_raised_counts_at_once() -> None:
    route = Route(model("demo", *(backend(n) for n in "ab"), backend("c", routeWeight=0)))
    assert route.at(0, "a", "b", "c") == "a=100 b=100 c=0"
    route.model = model("demo", *(backend(n) for n in "ab"), backend("c", routeWeight=7))
    assert route.at(1, "a", "b", "c") == "a=100 b=100 c=7"


def test_the_first_weight_of_a_canary_counts_at_once_if_it_is_available() -> None:
    """Before that edit the route had nothing to choose."""
    route = Route(model("demo", backend("a"), backend("b", routeWeight=0)))
    route.at(0, "a", "b")
    route.model = two()
    assert route.at(60, "a", "b") == "a=95 b=5"
    assert route.decision.wait is None


def test_a_backend_that_restarts_while_there_is_no_choice_is_not_old() -> None:
    route = Route(two())
    route.at(0, "a", "b")
    route.model = model("demo", backend("a"), backend("b", routeWeight=0))
    route.at(60, "a")
    route.model = two()
    assert route.at(70, "a") == "a=95 b=0"
    assert route.at(80, "a", "b") == "a=95 b=0"
    assert route.decision.wait == READY


def test_an_edited_weight_is_written_while_a_backend_is_out() -> None:
    route = Route(two())
    route.at(0, "a")
    route.model = model("demo", backend("a", routeWeight=50), backend("b", routeWeight=50))
    assert route.at(1, "a") == "a=50 b=0"
    assert route.at(2, "a", "b") == "a=50 b=0"
    assert route.at(12, "a", "b") == "a=50 b=50"


def test_weights_edited_by_hand_are_repaired() -> None:
    route = Route(two())
    route.at(0, "a")
    assert route.live is not None
    for weights in ((0, 5), (95, 5), (1, 0)):
        (rule,) = route.live["spec"]["rules"]
        targets = [{**t, "weight": w} for t, w in zip(rule["targetModels"], weights, strict=True)]
        route.live = {**route.live, "spec": {"rules": [{**rule, "targetModels": targets}]}}
        assert route.at(1, "a") == "a=95 b=0"


def test_an_adapter_keeps_its_rule_while_another_backend_has_it() -> None:
    of = model(
        "demo",
        backend("a", loraAdapters=[lora("both")]),
        backend("b", loraAdapters=[lora("both"), lora("own")]),
    )
    route = Route(of)
    assert route.at(0, "a") == "a=100 b=0"
    assert (route.rule(1), route.rule(2)) == ("a=100 b=0", "b=100")
    (note,) = traffic(of, route.decision, READY).notes
    assert note == 'requests for adapter "own" fail: the only backend with it, b, cannot answer now'
    route.restart()
    assert route.at(1, "a") == "a=100 b=0"
    assert route.writes == 1
    route.at(20, "a", "b")
    assert traffic(of, route.decision, READY).notes == ()
    route.at(20)
    assert traffic(of, route.decision, READY).notes == ()  # nobody answers anything


def test_a_single_backend_is_never_changed() -> None:
    route = Route(model("demo", backend("a"), backend("b", routeWeight=0)))
    assert [route.at(n, *who) for n, who in enumerate(("", "a", "", "b"))] == ["a=100 b=0"] * 4
    assert traffic(route.model, route.decision, READY).column == ""


@pytest.mark.parametrize(
    ("pods", "want"),
    [
        pytest.param([], "a=100 pd=100", id="no pod is known: the ModelServing decides"),
        pytest.param([pod("a", ready=False)], "a=0 pd=100", id="its only pod hangs"),
        pytest.param(
            [pod("a", ready=False), pod("a", ready=True)], "a=100 pd=100", id="one pod suffices"
        ),
        pytest.param(
            [
                pod("pd", ready=True, role="prefill", group="0"),
                pod("pd", ready=True, role="decode", group="1"),
                pod("pd", ready=False, role="decode", group="0"),
                pod("pd", ready=False, role="prefill", group="1"),
            ],
            "a=100 pd=0",
            id="two halves are no pair",
        ),
        pytest.param(
            [
                pod("pd", ready=True, role="prefill", group="0"),
                pod("pd", ready=False, role="decode", group="0"),
                pod("pd", ready=True, role="decode", group="0"),
            ],
            "a=100 pd=100",
            id="a pair",
        ),
        pytest.param(
            [pod("pd", ready=False, role="prefill", group="0")],
            "a=100 pd=100",
            id="half of a pair is known: the ModelServing decides",
        ),
    ],
)
def test_pods_that_are_not_ready(pods: list[Object], want: str) -> None:
    route = Route(model("demo", backend("a"), disaggregated("pd")))
    assert route.seen(0, [serving("demo-a", 1), serving("demo-pd", 1)], pods) == want


def test_what_users_read() -> None:
    of = model(
        "demo",
        backend("stable", routeWeight=95),
        backend("next", routeWeight=5),
        backend("large", replicas=0),
        disaggregated("pd"),
    )
    route = Route(of)
    route.at(0, "stable")
    told = traffic(of, route.decision, READY)
    assert told.column == (
        "stable 100%, next 0% (2% wanted, no pod ready), large 0% (33% wanted, 0 replicas), "
        "pd 0% (33% wanted, no pair ready)"
    )
    assert told.backends == {
        "next": "2 % wanted, 0 % until its first pod is ready",
        "large": "33 % wanted, 0 % while it has 0 replicas",
        "pd": "33 % wanted, 0 % until its first pair of prefill and decode pods is ready",
    }
    route.at(1, "stable", "next")
    told = traffic(of, route.decision, READY)
    assert told.backends["next"] == "2 % wanted, 0 % until it has been ready for 10 s"
    route.at(11)
    route.at(21)
    assert traffic(of, route.decision, READY).column == (
        "stable 32%, next 2%, large 33%, pd 33%; none is available"
    )


def test_many_backends_are_shortened_to_those_that_matter() -> None:
    of = model("demo", *(backend(f"b{n}") for n in range(16)))
    route = Route(of)
    route.at(0, *(f"b{n}" for n in range(15)))
    assert traffic(of, route.decision, READY).column == (
        "b15 0% (6% wanted, no pod ready), b0 7%, b1 7%, b2 7%, and 12 more"
    )
