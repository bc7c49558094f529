"""All checks, in the order in which they are printed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from modelbooster.checkup.checks import (
    access,
    certificates,
    definitions,
    kthena,
    operator,
    serving,
    webhook,
)
from modelbooster.checkup.facts import Facts
from modelbooster.checkup.finding import Finding, Result, Status


@dataclass(frozen=True, slots=True)
class Check:
    """One check.

    Args:
        name: its name, for users and for scripts.
        run: the check.
    """

    name: str
    run: Callable[[Facts], Finding]


CHECKS = (
    Check("api-server", access.api_server),
    Check("your-rights", access.your_rights),
    Check("modelbooster-crd", definitions.booster_definition),
    Check("stored-objects", definitions.stored_boosters),
    Check("deployments", operator.deployments),
    Check("installations", operator.installations),
    Check("version", operator.versions),
    Check("leader", operator.leader),
    Check("operator-rights", access.operator_rights),
    Check("webhook-config", webhook.webhook_registration),
    Check("webhook-endpoints", webhook.webhook_endpoints),
    Check("webhook-admits", webhook.webhook_admits),
    Check("webhook-refuses", webhook.webhook_refuses),
    Check("other-webhooks", webhook.other_webhooks),
    Check("ca-bundle", certificates.ca_bundle),
    Check("certificate", certificates.webhook_certificate),
    Check("kthena-crds", definitions.child_definitions),
    Check("kthena-release", definitions.kthena_release),
    Check("kthena-booster", kthena.rival_controller),
    Check("kthena-serving", kthena.serving_controller),
    Check("kthena-router", kthena.router),
    Check("volcano", serving.volcano),
    Check("helper-images", serving.downloader_image),
    Check("engine-images", serving.engine_images),
    Check("accelerators", serving.accelerators),
)


def check_all(facts: Facts) -> list[Result]:
    """Returns the result of each check."""
    return [Result(check.name, check.run(facts)) for check in CHECKS]


def has_failed(results: list[Result]) -> bool:
    """Whether a check failed."""
    return any(result.finding.status is Status.FAILED for result in results)
