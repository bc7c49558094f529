"""Checks of the operator's own processes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from app.values.meta import labels_of
from app.values.untyped import as_dict
from controller.election.lease import holder_of
from modelbooster.checkup.facts import Facts
from modelbooster.checkup.finding import Finding, failed, ok, skipped, warning, without_right
from modelbooster.checkup.installation import Component, available, installation_in
from modelbooster.checkup.text import listed

SKEW = timedelta(seconds=30)
"""How far this clock may differ from that of the leader."""

_VERSION = "app.kubernetes.io/version"


def deployments(facts: Facts) -> Finding:
    """Both processes run."""
    if facts.deployments.lacks:
        return without_right(facts.deployments.lacks)
    installation = installation_in(facts.deployments.items)
    absent = [
        name
        for name, found in (
            ("webhook", installation.webhook),
            ("controller", installation.controller),
        )
        if found is None
    ]
    if absent:
        return failed(
            f"the {' and the '.join(absent)} of model-booster "
            f"{'is' if len(absent) == 1 else 'are'} not installed",
            installation.restore(),
        )
    texts, remedies, is_down = [], [], False
    for component in installation.components:
        ready, wanted = available(component.deployment)
        texts.append(f"{component.name} {ready}/{wanted}")
        if wanted == 0 or ready < wanted:
            is_down = is_down or ready == 0
            remedies.append(_start(component, wanted))
    where = f"in namespace {installation.namespace}: {', '.join(texts)}"
    if is_down:
        return failed(f"not available {where}", *remedies)
    if remedies:
        return warning(f"not all replicas are available {where}", *remedies)
    return ok(f"available {where}")


def versions(facts: Facts) -> Finding:
    """The processes have the version of this program."""
    if facts.deployments.lacks:
        return without_right(facts.deployments.lacks)
    installation = installation_in(facts.deployments.items)
    if not installation.components:
        return skipped("the operator is not installed, or not visible to you")
    found = {component.name: _version(component) for component in installation.components}
    images = listed(component.image for component in installation.components)
    others = {version for version in found.values() if version != facts.program}
    if not others:
        return ok(f"version {facts.program}, as this program ({images})")
    texts = listed(f"{name} has {version or 'no version'}" for name, version in found.items())
    return warning(
        f"this program has version {facts.program}, but {texts}",
        installation.change(f"image.tag={facts.program}"),
        note="or install the version of model-booster here that runs in the cluster",
    )


def leader(facts: Facts) -> Finding:
    """A controller holds the Lease, and renews it."""
    if lacks := facts.deployments.lacks or facts.leases.lacks:
        return without_right(lacks)
    controller = installation_in(facts.deployments.items).controller
    if controller is None:
        return skipped("the controller is not installed, or not visible to you")
    if not controller.is_on("LEADER_ELECTION", default=True):
        return ok("leader election is off; there is one controller")
    name = f"{controller.lease_namespace}/{controller.settings.get('LEASE_NAME', '')}"
    lease = facts.leases.first
    remedy = f"kubectl -n {controller.namespace} logs deployment/{controller.name} --tail=50"
    restart = f"kubectl -n {controller.namespace} rollout restart deployment/{controller.name}"
    holder = holder_of(lease).partition("_")[0]  # the pod; a random suffix follows
    if not holder:
        if available(controller.deployment)[1] == 0:
            return failed(f"no controller holds the Lease {name}", _start(controller, 0))
        return failed(f"no controller holds the Lease {name}", remedy, restart)
    spec = as_dict((lease or {}).get("spec"))
    lasts = timedelta(seconds=int(spec.get("leaseDurationSeconds") or 0))
    silent = facts.now - _time(spec.get("renewTime"), facts.now)
    if silent > lasts + SKEW:
        return failed(
            f"{holder} has not renewed the Lease {name} for {int(silent.total_seconds())} s",
            remedy,
            restart,
        )
    return ok(f"{holder} holds the Lease {name}")


def installations(facts: Facts) -> Finding:
    """No two controllers serve the same namespaces."""
    if facts.deployments.lacks:
        return without_right(facts.deployments.lacks)
    components = installation_in(facts.deployments.items).components
    controllers = [c for c in components if c.component == "controller"]
    rivals = list(_rivals(controllers))
    if rivals:
        one, other = rivals[0]
        return failed(
            f"two controllers serve the same namespaces: {one.namespace}/{one.name} and "
            f"{other.namespace}/{other.name}",
            f"helm uninstall {other.release or other.name} -n {other.namespace}",
            note="keep the one that you want; ModelBoosters and their children stay",
        )
    if not controllers:
        return skipped("the controller is not installed, or not visible to you")
    served = controllers[0].namespaces
    places = f"the namespaces {listed(served)}" if served else "all namespaces"
    if served and facts.namespace not in {n for c in controllers for n in c.namespaces}:
        return warning(
            f"the operator serves {places}, not your namespace {facts.namespace}",
            note="add it to watchNamespaces of the chart, or choose another namespace with -n",
        )
    return ok(f"one controller serves {places}" if len(controllers) == 1 else "no two overlap")


def _time(text: object, otherwise: datetime) -> datetime:
    """Returns a time of the API server."""
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        return otherwise


def _rivals(controllers: list[Component]) -> Iterator[tuple[Component, Component]]:
    for position, one in enumerate(controllers):
        for other in controllers[position + 1 :]:
            shared = {*one.namespaces} & {*other.namespaces}
            if not one.namespaces or not other.namespaces or shared:
                yield one, other


def _start(component: Component, wanted: int) -> str:
    place = f"kubectl -n {component.namespace}"
    if wanted == 0:
        return f"{place} scale deployment/{component.name} --replicas=1"
    return f"{place} describe pods -l app.kubernetes.io/component={component.component}"


def _version(component: Component) -> str:
    """Returns the version in the tag of the image, else the one of the chart."""
    name, _, digest = component.image.partition("@")
    tag = name.rpartition("/")[2].partition(":")[2]
    return tag if tag and not digest else labels_of(component.deployment).get(_VERSION, "")
