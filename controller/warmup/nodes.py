"""Which nodes are warmed up: those with the labels, to which the Jobs can be scheduled."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from app.values.meta import Object
from app.values.value import hashable_value


@hashable_value
class ChosenNodes:
    """The nodes that a selector selects.

    Args:
        schedulable: names of those that a pod can be scheduled to, sorted.
        others: names of those that are cordoned, not ready or have another taint.
    """

    schedulable: tuple[str, ...]
    others: frozenset[str] = frozenset()


def chosen_nodes(
    nodes: Iterable[Object], selector: Mapping[str, str], tolerations: Iterable[Object]
) -> ChosenNodes:
    """Returns the nodes to warm up.

    Args:
        nodes: the records of all nodes.
        selector: their labels.
        tolerations: the tolerations of the Jobs.
    """
    tolerations = list(tolerations)
    good, others = [], set()
    for node in nodes:
        labels = node["metadata"]["labels"]
        if any(labels.get(key) != value for key, value in selector.items()):
            continue
        name = node["metadata"]["name"]
        is_open = not node["unschedulable"] and all(
            any(_tolerates(each, taint) for each in tolerations) for taint in node["taints"]
        )
        if is_open:
            good.append(name)
        else:
            others.add(name)
    return ChosenNodes(tuple(sorted(good)), frozenset(others))


def _tolerates(toleration: Object, taint: Object) -> bool:
    """Whether a toleration matches a taint, by the rules of Kubernetes' scheduler."""
    if toleration.get("effect") and toleration["effect"] != taint["effect"]:
        return False
    if toleration.get("key") and toleration["key"] != taint["key"]:
        return False
    operator = toleration.get("operator") or "Equal"
    if operator == "Exists":
        return True
    return bool(toleration.get("key")) and (toleration.get("value") or "") == taint["value"]
