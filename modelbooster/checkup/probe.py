"""Asks the webhook, by creations in a dry run."""

from __future__ import annotations

from secrets import token_hex

from app.apis.kinds import MODEL_BOOSTER
from app.errors import ApiError, Forbidden, Invalid
from app.kube import Kube
from app.values.meta import Object
from modelbooster.checkup.facts import Outcome, Probe

FLAG = "no-such-flag"
"""A flag that no engine has. The CustomResourceDefinition allows it, the webhook does not."""


def probe_object(namespace: str, *, valid: bool, prefix: str = "doctor") -> Object:
    """Returns a ModelBooster for a dry run. Only our webhook rejects the invalid one.

    Args:
        namespace: its namespace.
        valid: whether the webhook accepts it.
        prefix: what its name begins with.
    """
    worker = {
        "type": "server",
        "image": "vllm/vllm-openai:v0.9.2",
        "replicas": 1,
        "pods": 1,
        "config": {"max-model-len": 1024} if valid else {FLAG: True},
    }
    backend = {
        "name": "probe",
        "type": "vLLM",
        "modelURI": "hf://owner/model",
        "minReplicas": 1,
        "maxReplicas": 1,
        "workers": [worker],
    }
    return {
        "apiVersion": MODEL_BOOSTER.api_version,
        "kind": MODEL_BOOSTER.kind,
        "metadata": {"name": f"{prefix}-{token_hex(4)}", "namespace": namespace},
        "spec": {"backends": [backend]},
    }


async def probe(kube: Kube, namespace: str, *, valid: bool) -> Probe:
    """Returns how the API server answers to a ModelBooster."""
    try:
        await kube.create(MODEL_BOOSTER, probe_object(namespace, valid=valid), dry_run=True)
    except Forbidden as exc:
        # A webhook that forbids answers 403 as well.
        is_webhook = "admission webhook" in exc.message
        return Probe(Outcome.REFUSED if is_webhook else Outcome.FORBIDDEN, exc.message, namespace)
    except Invalid as exc:
        return Probe(Outcome.REFUSED, exc.message, namespace)
    except ApiError as exc:
        return Probe(Outcome.ERROR, exc.message, namespace)
    return Probe(Outcome.ADMITTED, "", namespace)
