"""Which ModelRoute gets the requests for a name that several have, in whatever namespaces.

Names of models and adapters are one space for the whole cluster. The rule depends on the release
of kthena. The notes do not tell which object wins, because its namespace may be another tenant's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from app.apis.kinds import Profile
from app.cache.records import Record
from app.cache.store import Store
from app.model.forms import Model
from app.values.meta import Key, Object, is_terminating
from controller.cluster.indexed_stores import ADAPTER_INDEX, ROUTED_INDEX


class RivalRoutes:
    """Finds ModelRoutes and ModelBoosters that share a name.

    Args:
        boosters: the stores of ModelBoosters.
        routes: the stores of all ModelRoutes, ours and others.
    """

    def __init__(self, boosters: Sequence[Store], routes: Sequence[Store]) -> None:
        self._boosters = boosters
        self._routes = routes

    def notes(self, model: Model, profile: Profile) -> tuple[str, ...]:
        """Returns sentences for the message of ``Active``; empty if all requests reach the model.

        Args:
            model: the canonical form of a ModelBooster.
            profile: profile of the installed kthena.
        """
        key = Key(model.namespace, model.name)
        adapters = sorted({a.name for form in model.backends for a in form.lora_adapters})
        same = {
            name: self._others(key, ROUTED_INDEX, name) for name in (model.route_name, *adapters)
        }
        loaded = {name: self._others(key, ADAPTER_INDEX, name) for name in adapters}
        if not any(same.values()) and not any(loaded.values()):
            return ()
        own = next((route for store in self._routes if (route := store.get(key))), None)
        if own is None:
            return ()
        lost = []
        if any(_wins(other, own, profile) for other in same[model.route_name]):
            lost.append(f'model "{model.route_name}"')
        for name in adapters:  # the router looks among models first
            if same[name] or any(_wins(other, own, profile) for other in loaded[name]):
                lost.append(f'adapter "{name}"')
        rule = "the one written last" if profile is Profile.A else "the older one"
        return tuple(
            f"requests for {each} reach another ModelRoute of the cluster instead: of several with "
            f"the same name, kthena's router uses {rule}, and a model rather than an adapter; "
            "choose another name"
            for each in lost
        )

    def rivals(self, record: Record) -> Iterator[Key]:
        """Yields the ModelBoosters, except its own, that share a name with a ModelRoute."""
        for index, value in record.entries:
            if index in (ROUTED_INDEX, ADAPTER_INDEX):
                for kind in (ROUTED_INDEX, ADAPTER_INDEX):
                    for store in self._boosters:
                        found = store.by_index(kind, value)
                        yield from (other.key for other in found if other.key != record.key)

    def _others(self, key: Key, index: str, name: str) -> list[Object]:
        return [
            record.object
            for store in self._routes
            for record in store.by_index(index, name)
            if record.key != key and not is_terminating(record.object)
        ]


def _wins(other: Object, own: Object, profile: Profile) -> bool:
    """Whether the router prefers another ModelRoute of the same name to ours."""
    if profile is Profile.A:
        return _version(other) > _version(own)
    return _created(other) < _created(own)


def _created(route: Object) -> str:
    """Returns when a ModelRoute was created: a text that sorts by time, in whole seconds."""
    return str(route["metadata"].get("creationTimestamp", ""))


def _version(route: Object) -> int:
    """Returns the version of a ModelRoute; a later write has a larger one."""
    text = str(route["metadata"].get("resourceVersion", ""))
    return int(text) if text.isdigit() else 0
