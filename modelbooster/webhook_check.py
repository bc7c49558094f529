"""Checks that the API server calls the webhook, with dry runs: nothing is stored."""

from __future__ import annotations

from uuid import uuid4

from app.apis.kinds import MODEL_BOOSTER
from app.errors import ApiError, OperatorError
from app.kube import Kube
from app.values.meta import Object

FLAG = "no-such-flag"
"""A flag that no engine has. The CustomResourceDefinition allows it, the webhook does not."""

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
    valid: Object = {"max-model-len": 1024}
    try:
        await kube.create(MODEL_BOOSTER, _booster(namespace, valid), dry_run=True)
    except ApiError as exc:
        if DENIED in exc.message or "failed calling webhook" in exc.message:
            raise WebhookFault(f"a valid ModelBooster is rejected: {exc.message}") from exc
        raise
    try:
        await kube.create(MODEL_BOOSTER, _booster(namespace, {FLAG: True}), dry_run=True)
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


def _booster(namespace: str, config: Object) -> Object:
    image = "vllm/vllm-openai:v0.9.2"
    return {
        "apiVersion": MODEL_BOOSTER.api_version,
        "kind": MODEL_BOOSTER.kind,
        "metadata": {"name": f"webhook-check-{uuid4().hex[:8]}", "namespace": namespace},
        "spec": {
            "backends": [
                {
                    "name": "vllm",
                    "type": "vLLM",
                    "modelURI": "hf://Qwen/Qwen2.5-0.5B-Instruct",
                    "minReplicas": 1,
                    "maxReplicas": 1,
                    "workers": [{"image": image, "replicas": 1, "pods": 1, "config": config}],
                }
            ]
        },
    }
