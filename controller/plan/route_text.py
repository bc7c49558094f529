"""What users read about the shares of requests that backends get."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field

from app.model.forms import BackendForm, Model
from app.model.names import backend_child_name
from app.model.roles import served
from app.values.meta import Object
from app.values.value import value
from controller.plan.route_shares import RouteDecision
from controller.status.availability import Lack

MAX_SHARES = 4
"""How many backends the column of ``kubectl get`` names."""

_UNTIL = {
    Lack.REPLICAS: "while it has 0 replicas",
    Lack.POD: "until its first pod is ready",
    Lack.PAIR: "until its first pair of prefill and decode pods is ready",
}
_WHY = {Lack.REPLICAS: "0 replicas", Lack.POD: "no pod ready", Lack.PAIR: "no pair ready"}


@value
class Traffic:
    """What the status says about the shares of requests.

    Args:
        column: all shares in a few words; ``""`` if there is nothing to choose.
        backends: sentences about the backends that get another share than they should because they
            are out of the route, by name.
        notes: sentences about adapters that no backend can answer, for the condition ``Active``.
    """

    column: str = ""
    backends: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def traffic(model: Model, decision: RouteDecision, ready_seconds: float) -> Traffic:
    """Returns what the status says about the ModelRoute of a pass.

    Args:
        model: the ModelBooster.
        decision: the weights of its ModelRoute.
        ready_seconds: how long a backend is available before it comes back into the route.
    """
    if decision.written is None or decision.route is None:
        return Traffic("", {}, tuple(_adapter_notes(model, decision)))
    wanted, given = _shares(decision.written), _shares(decision.route)
    names = {backend_child_name(model, backend): backend.name for backend in served(model)}
    settling = f"{ready_seconds:g} s"
    sentences, parts = {}, []
    for server, share in wanted.items():
        lack, now = decision.lacks.get(server), given[server]
        part = f"{names[server]} {_percent(now)}%"
        if server in decision.out and now != share:
            until = _UNTIL[lack] if lack else f"until it has been ready for {settling}"
            why = _WHY[lack] if lack else f"ready for less than {settling}"
            sentences[names[server]] = f"{_percent(share)} % wanted, {_percent(now)} % {until}"
            part = f"{part} ({_percent(share)}% wanted, {why})"
        parts.append((server not in decision.out, part))
    if len(parts) > MAX_SHARES:
        parts.sort(key=lambda entry: entry[0])
    shown = [part for _, part in parts[:MAX_SHARES]]
    if left := len(parts) - len(shown):
        shown.append(f"and {left} more")
    column = ", ".join(shown)
    if all(server in decision.lacks for server, share in wanted.items() if share):
        column += "; none is available"
    return Traffic(column, sentences, tuple(_adapter_notes(model, decision)))


def _shares(spec: Object) -> dict[str, float]:
    """Returns the percentage of each target of the first rule, which has all backends."""
    targets = spec["rules"][0]["targetModels"]
    total = sum(target["weight"] for target in targets) or 1
    return {target["modelServerName"]: 100 * target["weight"] / total for target in targets}


def _percent(share: float) -> str:
    return f"{share:.0f}" if share == 0 or share >= 1 else f"{share:.1f}"


def _adapter_notes(model: Model, decision: RouteDecision) -> Iterator[str]:
    """Yields a sentence about each adapter whose backends are all unavailable, unless all are."""
    backends = [backend for backend in served(model) if backend.route_weight]
    lacking = {
        backend.name for backend in backends if backend_child_name(model, backend) in decision.lacks
    }
    if len(lacking) == len(backends):
        return
    having: dict[str, list[BackendForm]] = {}
    for backend in backends:
        for adapter in backend.lora_adapters:
            having.setdefault(adapter.name, []).append(backend)
    for name, owners in sorted(having.items()):
        if all(backend.name in lacking for backend in owners):
            who = ", ".join(backend.name for backend in owners)
            what = "the only backend" if len(owners) == 1 else "all backends"
            yield f'requests for adapter "{name}" fail: {what} with it, {who}, cannot answer now'
