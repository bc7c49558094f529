"""Explains what the scheduler says of a pod that it cannot place.

The words are those of kube-scheduler (``FitError`` of its framework) and of Volcano, which counts
nodes in the same form.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal

from app.values.meta import Object
from app.values.quantity import parse_quantity
from app.values.untyped import as_dict, as_list
from modelbooster.observe.explanation import Explanation

_NODES = re.compile(r"(?:all|(?P<none>0)/(?P<all>\d+)) nodes are (?:un)?available:? ?")
_INSUFFICIENT = re.compile(r"(?P<count>\d+) Insufficient (?P<resource>[\w-]+(?:[./][\w-]+)*)")
_TAINT = re.compile(r"(?P<count>\d+) node\(s\) had (?:untolerated )?taints? \{(?P<taint>[^}]*)\}")
_SELECTOR = re.compile(r"(?P<count>\d+) node\(s\) didn't match Pod's node affinity/selector")
_CORDONED = re.compile(r"(?P<count>\d+) node\(s\) were unschedulable")
_FULL = re.compile(r"(?P<count>\d+) Too many pods")
_CLAIM = re.compile(r'persistentvolumeclaim "(?P<claim>[^"]+)" not found')
_UNBOUND = re.compile(r"unbound immediate PersistentVolumeClaims")
_ZONE = re.compile(r"(?P<count>\d+) node\(s\) had volume node affinity conflict")


def explain_unschedulable(pod: Object, message: str) -> Explanation:
    """Returns why a pod cannot be scheduled, in the words of its resources.

    Args:
        pod: the pod.
        message: the message of its condition PodScheduled.
    """
    total = _NODES.search(message)
    of_all = f" of {total['all']}" if total and total["all"] else ""
    found = list(_causes(pod, message, of_all))
    if not found:
        return Explanation(
            f"it cannot be scheduled: {message}" if message else "it cannot be scheduled",
            "add or free nodes that meet this, or ask for less",
        )
    why = "; ".join(explanation.why for explanation in found)
    todo = "; or ".join(dict.fromkeys(explanation.todo for explanation in found))
    return Explanation(f"it cannot be scheduled: {why}", todo)


def _causes(pod: Object, message: str, of_all: str) -> Iterator[Explanation]:
    if match := _CLAIM.search(message):
        claim, namespace = match["claim"], pod["metadata"].get("namespace", "")
        yield Explanation(
            f'the PersistentVolumeClaim "{claim}" does not exist',
            f"create it in namespace {namespace}, or correct cacheURI",
        )
    if _UNBOUND.search(message):
        yield Explanation(
            "its PersistentVolumeClaim is not bound to a volume",
            "see kubectl get pvc; its storage class must exist and have room",
        )
    for match in _INSUFFICIENT.finditer(message):
        resource = match["resource"]
        asked = requested(pod, resource)
        amount = f"{asked} " if asked else ""
        yield Explanation(
            f"{_nodes(match['count'], of_all)} too little free {resource}"
            + (f", the pod asks for {asked}" if asked else ""),
            f"add or free a node with {amount}{resource}, or ask for less in the resources of "
            "the worker",
        )
    for match in _TAINT.finditer(message):
        taint = match["taint"].strip()
        yield Explanation(
            f"{_nodes(match['count'], of_all)} the taint {{{taint}}}, which the pod does not "
            "tolerate",
            f"add a toleration for {taint.partition(':')[0]} to tolerations of the worker",
        )
    for match in _SELECTOR.finditer(message):
        yield Explanation(
            f"{_nodes(match['count'], of_all)} other labels than affinity asks for",
            "label a node, or correct affinity of the worker",
        )
    for match in _ZONE.finditer(message):
        yield Explanation(
            f"the volume of its cache is bound to another place than {match['count']}{of_all} "
            "nodes",
            "use a volume that those nodes can reach, or free the node that has the volume",
        )
    for match in _CORDONED.finditer(message):
        yield Explanation(
            f"{match['count']}{of_all} nodes take no new pods (cordoned)",
            "run kubectl uncordon NODE if they are meant to serve",
        )
    for match in _FULL.finditer(message):
        yield Explanation(f"{_nodes(match['count'], of_all)} no room for another pod", "add a node")


def _nodes(count: str, of_all: str) -> str:
    is_one = count == "1" and not of_all
    return f"{count} node has" if is_one else f"{count}{of_all} nodes have"


def requested(pod: Object, resource: str) -> str:
    """Returns how much of a resource the containers of a pod ask for; ``""`` for nothing."""
    amounts = []
    for container in as_list(as_dict(pod.get("spec")).get("containers")):
        resources = as_dict(as_dict(container).get("resources"))
        given = as_dict(resources.get("requests")).get(resource)
        if given is None:
            given = as_dict(resources.get("limits")).get(resource)
        if given is not None:
            amounts.append(str(given))
    if len(amounts) == 1:
        return amounts[0]
    total = sum((parse_quantity(text) or Decimal(0) for text in amounts), Decimal(0))
    return f"{total.normalize():f}" if total else ""
