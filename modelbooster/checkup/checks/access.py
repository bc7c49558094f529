"""Checks of the API server and of rights."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from modelbooster.checkup.facts import Facts, Right
from modelbooster.checkup.finding import Finding, failed, ok, skipped, warning, without_right
from modelbooster.checkup.installation import installation_in
from modelbooster.checkup.text import listed

MINIMUM = (1, 30)
"""The oldest Kubernetes release that the operator supports: kubeVersion of the chart."""

_VERSION = re.compile(r"v?(\d+)\.(\d+)")
_ROLE = "model-booster-user"


def api_server(facts: Facts) -> Finding:
    """The API server answers, and is new enough."""
    where = f"Kubernetes {facts.version}, {facts.server}"
    match = _VERSION.match(facts.version)
    if match and tuple(map(int, match.groups())) < MINIMUM:
        least = ".".join(map(str, MINIMUM))
        return failed(f"{where}: {least} or later is needed", note="upgrade the cluster")
    return ok(f"{where}, user {facts.user}" if facts.user else where)


def your_rights(facts: Facts) -> Finding:
    """The user may edit ModelBoosters, and see what belongs to them."""
    if facts.rights.lacks:
        return without_right(facts.rights.lacks)
    denied = facts.rights.denied.get("", ())
    if not denied:
        return ok(f"you may read and write ModelBoosters in namespace {facts.namespace}")
    what = listed(_grouped(denied))
    return warning(
        f"in namespace {facts.namespace} you may not {what}",
        *_grants(facts, denied),
        note="an administrator has to run this",
    )


def operator_rights(facts: Facts) -> Finding:
    """The service accounts of the operator have the rights of the chart."""
    installation = installation_in(facts.deployments.items)
    if facts.operator_rights.lacks:
        return without_right(facts.operator_rights.lacks)
    if not installation.components:
        return skipped("the operator is not installed, or not visible to you")
    denied = {who: rights for who, rights in facts.operator_rights.denied.items() if rights}
    if not denied:
        return ok(f"the service accounts have the {facts.operator_rights.asked} rights they need")
    texts = [
        f"{who.rpartition(':')[2]} may not {text}"
        for who, rights in denied.items()
        for text in _grouped(rights, with_place=True)
    ]
    return failed(listed(texts, 2), installation.restore())


def _grouped(rights: Iterable[Right], *, with_place: bool = False) -> Iterator[str]:
    """Yields rights as text, with all verbs of an object in one."""
    verbs: dict[tuple[str, str, str], list[str]] = {}
    for right in rights:
        place = right.namespace if with_place else ""
        verbs.setdefault((right.resource, right.name, place), []).append(right.verb)
    for (resource, name, namespace), words in verbs.items():
        yield str(Right("/".join(words), resource, name, namespace))


def _grants(facts: Facts, denied: tuple[Right, ...]) -> Iterator[str]:
    """Yields the commands that grant rights. A role of kubectl has all verbs on all resources."""
    by_verbs: dict[tuple[str, ...], list[str]] = {}
    for resource in dict.fromkeys(right.resource for right in denied):
        verbs = tuple(right.verb for right in denied if right.resource == resource)
        by_verbs.setdefault(verbs, []).append(resource)
    place = f"-n {facts.namespace}"
    for number, (verbs, resources) in enumerate(by_verbs.items()):
        name = f"{_ROLE}-{number}" if number else _ROLE
        what = f"--verb={','.join(verbs)} --resource={','.join(resources)}"
        yield f"kubectl {place} create role {name} {what}"
        user = facts.user or "USER"
        yield f"kubectl {place} create rolebinding {name} --role={name} --user={user}"
