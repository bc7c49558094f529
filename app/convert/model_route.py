"""Converts a ModelBooster into its ModelRoute, which sends requests to the backends."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from app.apis.kinds import MODEL_ROUTE, Profile
from app.convert.core_v1 import compact
from app.convert.options import Options
from app.model.children import Draft
from app.model.forms import BackendForm, Model
from app.model.names import adapter_names, backend_child_name
from app.model.roles import served
from app.values.fields import SpecError, invalid
from app.values.meta import Object


def model_routes(model: Model, _profile: Profile, _options: Options) -> Iterator[Draft]:
    """Yields the ModelRoute; none if no backend is served."""
    backends, adapters = served(model), adapter_names(model)
    if not backends:
        return
    spec = compact(
        modelName=model.route_name,
        loraAdapters=adapters,
        rules=list(_rules(model, backends, adapters)),
    )
    yield Draft(MODEL_ROUTE, model.name, spec)


def _rules(
    model: Model, backends: Sequence[BackendForm], adapters: Sequence[str]
) -> Iterator[Object]:
    """Yields the rules of the route; the router applies the first rule that matches.

    A single backend gets every request for the model and its adapters. With several backends,
    requests for an adapter go only to the backends that have it, so each rule matches the name in
    the request body.
    """
    if len(backends) == 1:
        yield compact(
            name="default", modelMatch=model.model_match, targetModels=_targets(model, backends)
        )
        return
    yield {
        "name": "default",
        "modelMatch": _match(model, model.route_name),
        "targetModels": _targets(model, backends),
    }
    by_adapter = backends_by_adapter(backends)
    for adapter in adapters:
        check_adapter_is_reachable(adapter, by_adapter[adapter])
        yield {
            "name": adapter,
            "modelMatch": _match(model, adapter),
            "targetModels": _targets(model, by_adapter[adapter]),
        }


def _match(model: Model, name: str) -> Object:
    match = model.model_match or {}
    return {**match, "body": {**match.get("body", {}), "model": name}}


def _targets(model: Model, backends: Sequence[BackendForm]) -> list[Object]:
    return [
        {"modelServerName": backend_child_name(model, backend), "weight": backend.route_weight}
        for backend in backends
    ]


def backends_by_adapter(backends: Sequence[BackendForm]) -> dict[str, list[BackendForm]]:
    """Returns the backends that have each adapter, by its name, in the order of the spec."""
    found: dict[str, list[BackendForm]] = {}
    for backend in backends:
        for adapter in dict.fromkeys(adapter.name for adapter in backend.lora_adapters):
            found.setdefault(adapter, []).append(backend)
    return found


def check_adapter_is_reachable(adapter: str, backends: Sequence[BackendForm]) -> None:
    """Raises SpecError if no backend would get the requests for an adapter.

    The router of kthena v0.1.0 panics if all weights are 0; later releases reject such a rule.

    Args:
        adapter: its name.
        backends: the backends that have it, at least one.
    """
    if any(backend.route_weight for backend in backends):
        return
    first = backends[0]
    position = next(i for i, a in enumerate(first.lora_adapters) if a.name == adapter)
    path = first.path.child("loraAdapters").index(position).child("name")
    detail = "every backend that has this adapter has routeWeight 0, so no request would reach it"
    raise SpecError(invalid(path, adapter, detail))
