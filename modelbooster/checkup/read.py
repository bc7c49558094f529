"""Reads what the checks look at. Only dry runs are written, and questions about rights."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from app.apis.kinds import MODEL_BOOSTER, WORKLOAD
from app.convert.options import KTHENA_NAMESPACE
from app.errors import NotFound
from app.installed import CONTROLLER_MANAGER, DEPLOYMENT, Detector, release_of_manager
from app.kube import Kube
from app.values.meta import Resource
from app.values.untyped import as_dict, as_list
from certs.objects import MUTATING, SECRET, VALIDATING
from controller.election.lease import LEASE
from modelbooster.checkup.checks.certificates import secret_of
from modelbooster.checkup.checks.kthena import ROUTER
from modelbooster.checkup.checks.webhook import service_of
from modelbooster.checkup.facts import Facts, Seen
from modelbooster.checkup.fetch import get_one, list_anywhere, list_in
from modelbooster.checkup.installation import (
    OPERATOR_NAMESPACE,
    SELECTOR,
    Installation,
    installation_in,
)
from modelbooster.checkup.probe import probe
from modelbooster.checkup.review import review_operator, review_user, user_name

SERVICE = Resource("", "v1", "services", "Service")
NODE = Resource("", "v1", "nodes", "Node", namespaced=False)
ENDPOINT_SLICE = Resource("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice")

VOLCANO_SCHEDULER = "volcano-scheduler"
VOLCANO_NAMESPACE = "volcano-system"


async def read_facts(kube: Kube, *, server: str, namespace: str, program: str) -> Facts:
    """Returns everything that the checks look at.

    Args:
        kube: the API server.
        server: how the user chose the cluster, for example ``context prod``.
        namespace: the user's namespace.
        program: version of this program.

    Raises:
        ApiError, Unreachable: the API server does not answer simple questions.
    """
    document = await kube.read("/version")
    facts = Facts(
        now=datetime.now(UTC),
        program=program,
        server=server,
        version=str(document.body.get("gitVersion", "")),
        namespace=namespace,
    )
    facts = await _read_anywhere(kube, facts)
    return await _read_installation(kube, facts)


async def _read_anywhere(kube: Kube, facts: Facts) -> Facts:
    """Reads what does not depend on where the operator is installed."""
    kthena = KTHENA_NAMESPACE
    user, groups, serves_boosters, installed, rights, seen = await asyncio.gather(
        user_name(kube),
        _groups(kube),
        _serves_boosters(kube),
        Detector(kube).detect(),
        review_user(kube, facts.namespace),
        _all(
            deployments=list_anywhere(kube, DEPLOYMENT, OPERATOR_NAMESPACE, labels=SELECTOR),
            managers=list_anywhere(kube, DEPLOYMENT, kthena, name=CONTROLLER_MANAGER),
            routers=list_anywhere(kube, DEPLOYMENT, kthena, name=ROUTER),
            schedulers=list_anywhere(kube, DEPLOYMENT, VOLCANO_NAMESPACE, name=VOLCANO_SCHEDULER),
            validating=list_anywhere(kube, VALIDATING),
            mutating=list_anywhere(kube, MUTATING),
            nodes=list_anywhere(kube, NODE),
            boosters=list_anywhere(kube, MODEL_BOOSTER, facts.namespace),
        ),
    )
    release = next(filter(None, map(release_of_manager, seen["managers"].items)), None)
    return replace(
        facts,
        user=user,
        groups=groups,
        serves_boosters=serves_boosters,
        installed=replace(installed, release=release),
        rights=rights,
        **seen,
    )


async def _read_installation(kube: Kube, facts: Facts) -> Facts:
    """Reads what belongs to the installed operator, and asks its webhook."""
    installation = installation_in(facts.deployments.items)
    webhook, controller = installation.webhook, installation.controller
    reads: dict[str, Awaitable[Seen]] = {}
    if where := service_of(facts):
        labels = f"kubernetes.io/service-name={where[1]}"
        reads["services"] = get_one(kube, SERVICE, *where)
        reads["endpoints"] = list_in(kube, ENDPOINT_SLICE, where[0], labels)
    if webhook and (secret := secret_of(webhook)):
        reads["certificates"] = get_one(kube, SECRET, webhook.namespace, secret)
    if controller and (name := controller.settings.get("LEASE_NAME")):
        reads["leases"] = get_one(kube, LEASE, controller.lease_namespace, name)
    facts = replace(facts, operator_rights=await review_operator(kube, installation))
    facts = replace(facts, **await _all(**reads))
    if facts.serves_boosters:
        namespace = _probed_namespace(facts, installation)
        facts = replace(
            facts,
            admitted=await probe(kube, namespace, valid=True),
            refused=await probe(kube, namespace, valid=False),
        )
    return facts


async def _all(**reads: Awaitable[Seen]) -> dict[str, Any]:
    """Reads at once, and returns the objects by the same names."""
    return dict(zip(reads, await asyncio.gather(*reads.values()), strict=True))


def _probed_namespace(facts: Facts, installation: Installation) -> str:
    """The webhook is asked in the namespaces of the operator only."""
    component = installation.controller or installation.webhook
    served = component.namespaces if component else ()
    return facts.namespace if not served or facts.namespace in served else served[0]


async def _groups(kube: Kube) -> frozenset[str]:
    document = await kube.read("/apis")
    return frozenset(str(as_dict(g).get("name")) for g in as_list(document.body.get("groups")))


async def _serves_boosters(kube: Kube) -> bool:
    try:
        document = await kube.read(f"/apis/{WORKLOAD}/v1alpha1")
    except NotFound:
        return False
    kinds = {as_dict(entry).get("name") for entry in as_list(document.body.get("resources"))}
    return MODEL_BOOSTER.plural in kinds
