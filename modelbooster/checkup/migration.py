"""What ``model-booster migrate --check`` reads and checks of a cluster."""

from __future__ import annotations

import asyncio

from app.apis.kinds import MODEL_BOOSTER, PROFILES
from app.errors import NotFound
from app.kube import Kube
from app.values.meta import Object, Resource
from modelbooster.checkup.facts import Facts
from modelbooster.checkup.finding import Result
from modelbooster.checkup.table import CHECKS

BEFORE_TAKEOVER = ("kthena-crds", "kthena-booster", "other-webhooks", "kthena-serving")
"""The checks of ``doctor`` that matter before the operator is installed."""


def takeover_results(facts: Facts) -> list[Result]:
    """Returns the results of the checks that matter before a takeover."""
    return [Result(c.name, c.run(facts)) for c in CHECKS if c.name in BEFORE_TAKEOVER]


def release_to_write(facts: Facts) -> str | None:
    """Returns the release of kthena whose children the controller would write; None if unknown."""
    installed = facts.installed
    if installed.release is not None and str(installed.release) in PROFILES:
        return str(installed.release)
    releases = [name for name, profile in PROFILES.items() if profile is installed.profile]
    return releases[-1] if releases else None


async def read_for_takeover(kube: Kube, facts: Facts, namespace: str | None) -> list[Object]:
    """Returns the ModelBoosters and all objects of the kinds of children.

    Args:
        kube: the API server.
        facts: what is known of the cluster.
        namespace: None for all namespaces.

    Raises:
        ApiError: they cannot be read.
    """
    kinds = (*((MODEL_BOOSTER,) if facts.serves_boosters else ()), *facts.installed.kinds)
    lists = await asyncio.gather(*(_read(kube, kind, namespace) for kind in kinds))
    return [obj for found in lists for obj in found]


async def _read(kube: Kube, resource: Resource, namespace: str | None) -> list[Object]:
    try:
        found = await kube.list(resource, namespace=namespace)
    except NotFound:
        return []
    # Items of a list have neither kind nor version.
    identity = {"apiVersion": resource.api_version, "kind": resource.kind}
    return [{**identity, **obj} for obj in found.items]
