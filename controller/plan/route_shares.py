"""Which backends get requests: the ModelRoute follows what is available.

The router of kthena chooses a backend by weight before it looks for a pod, so the share of a
backend without a ready pod is lost. Therefore such a backend has weight 0 in the stored ModelRoute
while another backend of the rule is available. Its own weight comes back with its pods. If no
backend of a rule is available, the rule is as the ModelBooster has it. A weight of 0 gets no
request in any release; a rule of only zeros is refused, and is never written.

Damping, so that a change of readiness costs at most one write:

* A backend leaves the route ``SETTLE_SECONDS`` after it became unavailable. Several changes share
  a write, and a shorter interruption costs none. One with 0 replicas leaves at once.
* A backend comes back after it has been available for ``ready_seconds`` without a break, so one
  that crashes again and again stays out. It comes back at once if no other one is available.
* If the last available backend is lost, the route stays as it is for ``ready_seconds``.

A new backend, or a new route, needs neither: its first weights are already right.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from app.apis.kinds import MODEL_ROUTE, MODEL_SERVING, REVISION
from app.model.children import Desired, revision
from app.model.forms import Model
from app.values.meta import Object
from app.values.untyped import as_dict, as_list
from app.values.value import value
from controller.plan.actions import of_kind
from controller.status.availability import Lack, lacking
from controller.timing import READY_SECONDS

SETTLE_SECONDS = 1.0
"""How long a backend is unavailable before it leaves the route, so that changes share a write."""

_NOBODY: frozenset[str] = frozenset()


@dataclass(slots=True)
class RouteState:
    """What is kept in memory about a ModelRoute. Times are seconds of the reconciler's clock.

    It may be lost: the weights of the stored route tell which backends are out.

    Args:
        names: the targets with a weight above 0, at the last decision; None before the first.
        out: those of them that got weight 0.
        available_since: since when targets are available, by name.
        pending_since: since when targets should leave the route.
        lost_since: since when no target is available.
        is_told: whether the stored route has the last decision, and an Event told it.
    """

    names: frozenset[str] | None = None
    out: frozenset[str] = _NOBODY
    available_since: dict[str, float] = field(default_factory=dict)
    pending_since: float | None = None
    lost_since: float | None = None
    is_told: bool = True

    def tell(self, *, is_written: bool, is_pending: bool) -> bool:
        """Returns whether to tell the last decision in an Event, which then counts as told.

        Args:
            is_written: whether this pass has changed the stored route.
            is_pending: whether a write of the route failed, or has to wait.
        """
        if self.is_told or is_pending:
            return False
        self.is_told = True
        return is_written


@value
class RouteDecision:
    """The weights of a ModelRoute.

    Args:
        children: all desired children, with the ModelRoute to write.
        written: the ModelRoute as the ModelBooster has it; None if readiness does not matter,
            because no rule has a choice.
        route: the ModelRoute to write; None like ``written``.
        lacks: what the targets lack that are not available, by name.
        out: the targets that have weight 0 although the ModelBooster gives them one.
        wait: after how many seconds the decision may change; None if only with an event.
    """

    children: tuple[Desired, ...]
    written: Object | None = None
    route: Object | None = None
    lacks: Mapping[str, Lack] = field(default_factory=dict)
    out: frozenset[str] = _NOBODY
    wait: float | None = None


def decide_route(
    model: Model,
    children: tuple[Desired, ...],
    observed: Iterable[Object],
    pods: Iterable[Object],
    state: RouteState,
    now: float,
    ready_seconds: float = READY_SECONDS,
) -> RouteDecision:
    """Returns the children with the weights of the ModelRoute for the available backends.

    Args:
        model: the ModelBooster.
        children: its desired children, as conversion makes them.
        observed: its live children.
        pods: the records of its pods.
        state: what is kept in memory; it is updated.
        now: the time, in seconds.
        ready_seconds: how long a backend is available before it comes back.
    """
    route = next((child for child in children if child.resource is MODEL_ROUTE), None)
    names = (
        frozenset() if route is None else frozenset(_weights(route.object["spec"], positive=True))
    )
    if route is None or not _has_choice(route.object["spec"]):
        state.names, state.out, state.is_told = names, _NOBODY, True
        state.available_since, state.pending_since, state.lost_since = {}, None, None
        return RouteDecision(children)
    observed = [*observed]
    live = of_kind(MODEL_ROUTE, observed).get(route.name)
    stored = None if live is None else _weights(as_dict(live.get("spec")))
    if state.names is None and stored is not None:  # after a start
        state.names = names & stored.keys()
        state.out = frozenset(name for name in state.names if not stored[name])
    lacks = lacking(model, children, of_kind(MODEL_SERVING, observed), pods)
    there = names - lacks.keys()
    state.available_since = {name: state.available_since.get(name, now) for name in there}
    empty = {name for name, lack in lacks.items() if lack is Lack.REPLICAS}
    out, waits = _out(names, there, empty, state, now, ready_seconds)
    if out != state.out & names and state.names is not None:
        state.is_told = False
    state.names, state.out = names, out
    spec = with_zeros(route.object["spec"], out)
    if spec != route.object["spec"]:
        children = tuple(_with_spec(child, spec) if child is route else child for child in children)
    return RouteDecision(children, route.object["spec"], spec, lacks, out, min(waits, default=None))


def with_zeros(spec: Object, out: Collection[str]) -> Object:
    """Returns the spec of a ModelRoute in which some targets have weight 0.

    A rule in which no other target has a weight stays as it is.

    Args:
        spec: the spec as the ModelBooster has it.
        out: names of the targets.
    """
    return {**spec, "rules": [_rule_with_zeros(rule, out) for rule in spec["rules"]]}


def _rule_with_zeros(rule: Object, out: Collection[str]) -> Object:
    targets = rule["targetModels"]
    if not any(t["weight"] and t["modelServerName"] not in out for t in targets):
        return rule
    zeroed = [{**t, "weight": 0} if t["modelServerName"] in out else t for t in targets]
    return {**rule, "targetModels": zeroed}


def _out(
    names: frozenset[str],
    available: frozenset[str],
    empty: Collection[str],
    state: RouteState,
    now: float,
    ready_seconds: float,
) -> tuple[frozenset[str], list[float]]:
    """Returns the targets that get weight 0, and after how many seconds that may change."""
    before = state.out & names
    if not available:
        if state.lost_since is None:
            state.lost_since = now
        left = state.lost_since + ready_seconds - now
        state.pending_since = None
        return (before, [left]) if before and left > 0 else (_NOBODY, [])
    state.lost_since = None
    waits = []
    out = names - available
    if available - before:
        for name in available & before:
            left = state.available_since[name] + ready_seconds - now
            if left > 0:
                out |= {name}
                waits.append(left)
    leaving = (out & ((state.names or _NOBODY) - before)).difference(empty)
    if not leaving:
        state.pending_since = None
        return out, waits
    if state.pending_since is None:
        state.pending_since = now
    left = state.pending_since + min(SETTLE_SECONDS, ready_seconds) - now
    if left > 0:
        return out - leaving, [*waits, left]
    state.pending_since = None
    return out, waits


def _has_choice(spec: Object) -> bool:
    """Whether some rule has several targets with a weight."""
    return any(sum(t["weight"] > 0 for t in rule["targetModels"]) > 1 for rule in spec["rules"])


def _weights(spec: Object, *, positive: bool = False) -> dict[str, int]:
    """Returns the smallest weight of each target in any rule; only those above 0 if asked.

    A ModelBooster gives a backend the same weight in all rules. In the stored route, a backend that
    is out has its weight only in rules where it has no substitute.
    """
    found: dict[str, int] = {}
    for rule in as_list(spec.get("rules")):
        for target in map(as_dict, as_list(as_dict(rule).get("targetModels"))):
            name, weight = str(target.get("modelServerName")), target.get("weight", 100)
            found[name] = min(found.get(name, 100), weight if isinstance(weight, int) else 0)
    return {name: weight for name, weight in found.items() if weight or not positive}


def _with_spec(child: Desired, spec: Object) -> Desired:
    metadata = child.object["metadata"]
    labels = {**metadata["labels"], REVISION: revision(spec)}
    return replace(
        child, object={**child.object, "metadata": {**metadata, "labels": labels}, "spec": spec}
    )
