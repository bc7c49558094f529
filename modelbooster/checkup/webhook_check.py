"""Checks that the API server calls the webhook, with dry runs: nothing is stored."""

from __future__ import annotations

from app.apis.kinds import MODEL_BOOSTER
from app.errors import ApiError, OperatorError
from app.kube import Kube
from modelbooster.checkup.probe import FLAG, probe_object

_PREFIX = "webhook-check"

DENIED = 'admission webhook "validate-modelbooster.'
"""How the API server begins to say that our webhook denied a request."""


async def refusal(kube: Kube, namespace: str) -> str:
    """Returns what the webhook says to an invalid ModelBooster, after it has accepted a valid one.

    Args:
        kube: the API server; the user needs the right to create ModelBoosters.
        namespace: namespace of the ModelBoosters.

    Raises:
        WebhookFault: the webhook is not called, cannot be called, or answers wrongly.
        ApiError, Unreachable: the API server cannot be asked.
    """
    valid = probe_object(namespace, valid=True, prefix=_PREFIX)
    try:
        await kube.create(MODEL_BOOSTER, valid, dry_run=True)
    except ApiError as exc:
        if DENIED in exc.message or "failed calling webhook" in exc.message:
            raise WebhookFault(f"a valid ModelBooster is rejected: {exc.message}") from exc
        raise
    invalid = probe_object(namespace, valid=False, prefix=_PREFIX)
    try:
        await kube.create(MODEL_BOOSTER, invalid, dry_run=True)
    except ApiError as exc:
        if DENIED in exc.message and FLAG in exc.message:
            return exc.message
        raise WebhookFault(f"not the webhook rejected a ModelBooster: {exc.message}") from exc
    raise WebhookFault(
        f"an invalid ModelBooster is accepted: the API server does not call the webhook for the"
        f' namespace "{namespace}"; check the namespaceSelector, the failurePolicy and the'
        " caBundle of the ValidatingWebhookConfiguration"
    )


class WebhookFault(OperatorError):
    """The webhook does not do its work; the message says why."""
