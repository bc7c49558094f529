"""The rights that users and the two service accounts need.

A test compares the rights of the service accounts with the roles of the chart.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from app.apis.kinds import CHILDREN, JOB, MODEL_BOOSTER, NODE
from app.installed import CONTROLLER_MANAGER
from modelbooster.checkup.facts import Right
from modelbooster.checkup.installation import Component, Installation

READ = ("get", "list", "watch")
EDIT = ("create", "patch", "update", "delete")

_CONFIGURATIONS = (
    "validatingwebhookconfigurations.admissionregistration.k8s.io",
    "mutatingwebhookconfigurations.admissionregistration.k8s.io",
)


def user_rights(namespace: str) -> list[Right]:
    """Returns what a user needs in a namespace to serve models and to see how they are."""
    booster = str(MODEL_BOOSTER)
    seen = [booster, *map(str, CHILDREN), "pods", "events"]
    found = [Right(verb, resource, "", namespace) for resource in seen for verb in READ]
    found += [Right(verb, booster, "", namespace) for verb in EDIT]
    return [*found, Right("get", "pods/log", "", namespace)]


def operator_rights(installation: Installation) -> dict[str, list[Right]]:
    """Returns what each service account of the operator needs, by its user name."""
    found: dict[str, list[Right]] = {}
    if (webhook := installation.webhook) is not None:
        found.setdefault(webhook.account, []).extend(_webhook_rights(webhook))
    if (controller := installation.controller) is not None:
        found.setdefault(controller.account, []).extend(_controller_rights(controller))
    return found


def _webhook_rights(webhook: Component) -> Iterator[Right]:
    boosters = [(str(kind), ("list", "watch")) for kind in (MODEL_BOOSTER, *CHILDREN)]
    yield from _in_namespaces(webhook, boosters)
    yield from _release_rights(webhook)
    if webhook.settings.get("CERTIFICATE_MODE", "self-managed") != "self-managed":
        return
    settings = ("VALIDATING_WEBHOOK_CONFIGURATION", "MUTATING_WEBHOOK_CONFIGURATION")
    for resource, setting in zip(_CONFIGURATIONS, settings, strict=True):
        name = webhook.settings.get(setting, "")
        yield from (Right(verb, resource, name) for verb in (*READ, "patch"))
    secret = webhook.settings.get("CERTIFICATE_SECRET", "")
    for verb in (*READ, "update"):
        yield Right(verb, "secrets", secret, webhook.namespace)
    yield Right("create", "secrets", "", webhook.namespace)


def _controller_rights(controller: Component) -> Iterator[Right]:
    booster = str(MODEL_BOOSTER)
    warms_up = controller.is_on("CACHE_WARMUP", default=False)
    sees_pods = controller.is_on("WATCH_PODS", default=True)
    reads_logs = sees_pods and controller.is_on("READ_DOWNLOAD_LOGS", default=True)
    needed = [
        (booster, READ),
        (f"{booster}/status", ("patch",)),
        (f"{booster}/finalizers", ("update",)),
        *((str(kind), (*READ, "create", "patch", "delete")) for kind in CHILDREN),
        ("events.events.k8s.io", ("create", "patch")),
        (str(JOB), (*READ, "create", "delete") if warms_up else ()),
        ("pods", ("list", "watch") if sees_pods else ()),
        ("pods/log", ("get",) if reads_logs else ()),
    ]
    yield from _in_namespaces(controller, needed)
    yield from (Right(verb, str(NODE)) for verb in ("list", "watch") if warms_up)
    yield from _release_rights(controller)
    if controller.is_on("LEADER_ELECTION", default=True):
        leases, name = "leases.coordination.k8s.io", controller.settings.get("LEASE_NAME", "")
        where = controller.lease_namespace
        yield from (Right(verb, leases, name, where) for verb in ("get", "update"))
        yield Right("create", leases, "", where)


def _release_rights(component: Component) -> Iterator[Right]:
    """The image of one Deployment tells the release, unless a setting does."""
    if not component.settings.get("KTHENA_RELEASE"):
        yield Right("get", "deployments.apps", CONTROLLER_MANAGER)


def _in_namespaces(
    component: Component, needed: Iterable[tuple[str, tuple[str, ...]]]
) -> Iterator[Right]:
    for namespace in component.namespaces or ("",):
        for resource, verbs in needed:
            yield from (Right(verb, resource, "", namespace) for verb in verbs)
