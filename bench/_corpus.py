"""The reviews that are sent: several sizes, no two alike."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from tests.builders import backend, booster_object, lora, worker

Review = dict[str, Any]

GROUP = "workload.serving.volcano.sh"
KIND = {"group": GROUP, "version": "v1alpha1", "kind": "ModelBooster"}
NUMBERS = (
    *("long-prefill-token-threshold", "max-cpu-loras", "max-log-len", "max-logprobs", "max-loras"),
    *("max-num-seqs", "max-parallel-loading-workers", "num-gpu-blocks-override", "seed"),
)
"""Integer flags that every vLLM release has."""

TEXTS = (
    *("chat-template", "code-revision", "download-dir", "generation-config", "hf-config-path"),
    *("otlp-traces-endpoint", "response-role", "revision", "root-path", "scheduler-cls"),
    *("tokenizer", "tokenizer-revision", "tool-call-parser", "tool-parser-plugin", "worker-cls"),
    "worker-extension-cls",
)
"""Text flags that every vLLM release has."""

RESOURCE = {"group": GROUP, "version": "v1alpha1", "resource": "modelboosters"}


def review(obj: dict[str, Any], chance: random.Random, *, update: bool = False) -> Review:
    """Returns a review as the API server sends it, managedFields and user included."""
    number = f"{chance.getrandbits(48):012x}"
    metadata = {
        **obj["metadata"],
        "namespace": "default",
        "uid": f"0e4b1c2a-3c9e-4b4e-8a53-{number}",
        "creationTimestamp": "2026-11-01T12:00:00Z",
        "generation": 1,
        "managedFields": [
            {
                "manager": "kubectl-client-side-apply",
                "operation": "Update",
                "apiVersion": obj["apiVersion"],
                "time": "2026-11-01T12:00:00Z",
                "fieldsType": "FieldsV1",
                "fieldsV1": {"f:spec": {".": {}, **{f"f:{name}": {} for name in obj["spec"]}}},
            }
        ],
    }
    # The API server has added the defaults of the schema.
    status = {"observedGeneration": -1, "modelName": ""}
    sent = {**obj, "metadata": metadata, "status": status}
    old = {**sent, "spec": {**sent["spec"], "owner": "someone"}} if update else None
    return {
        "kind": "AdmissionReview",
        "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": f"5b8d3c0f-0a4c-4a43-bd9d-{number}",
            "kind": KIND,
            "resource": RESOURCE,
            "requestKind": KIND,
            "requestResource": RESOURCE,
            "name": obj["metadata"]["name"],
            "namespace": "default",
            "operation": "UPDATE" if update else "CREATE",
            "userInfo": {"username": "kubernetes-admin", "groups": ["system:authenticated"]},
            "object": sent,
            "oldObject": old,
            "dryRun": False,
            "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
        },
    }


def small(chance: random.Random) -> Review:
    """A typical object, about 1.5 KB."""
    config = {"port": chance.randint(9000, 9999)}
    return review(booster_object(_name(chance), _backend(chance, "b1", config)), chance)


def medium(chance: random.Random) -> Review:
    """An object with env and an adapter, half of them edited; about 2.7 KB."""
    config = {**_numbers(chance), "revision": _name(chance)}
    found = _backend(
        chance, "b1", config, env=_env(chance, 8, 8), loraAdapters=[lora(_name(chance))]
    )
    return review(booster_object(_name(chance), found), chance, update=chance.random() < 0.5)


def large(chance: random.Random) -> Review:
    """Fourteen backends, about 42 KB."""
    backends = [
        _backend(
            chance,
            f"b{n}",
            {
                **_numbers(chance),
                **{flag: f"{chance.getrandbits(80):020x}" for flag in TEXTS},
            },
            env=_env(chance, 25, 40),
        )
        for n in range(14)
    ]
    return review(booster_object(_name(chance), *backends), chance)


def denied(chance: random.Random) -> Review:
    """A small object with a fault."""
    obj = booster_object(_name(chance), backend("b1", minReplicas=3, maxReplicas=2))
    return review(obj, chance)


SIZES: dict[str, Callable[[random.Random], Review]] = {
    "small": small,
    "medium": medium,
    "large": large,
    "denied": denied,
}


def corpus(size: str, count: int, seed: str) -> list[Review]:
    """Returns a number of reviews of a size; all differ, also between seeds."""
    chance = random.Random(f"{size} {seed}")
    return [SIZES[size](chance) for _ in range(count)]


def _name(chance: random.Random) -> str:
    return f"m{chance.getrandbits(40):010x}"


def _numbers(chance: random.Random) -> dict[str, Any]:
    return {flag: chance.randrange(1000) for flag in NUMBERS}


def _env(chance: random.Random, count: int, length: int) -> list[dict[str, Any]]:
    return [
        {"name": f"V{_name(chance)}", "value": f"{chance.getrandbits(4 * length):0{length}x}"}
        for _ in range(count)
    ]


def _backend(
    chance: random.Random, name: str, config: dict[str, Any], **fields: Any
) -> dict[str, Any]:
    image = f"vllm/vllm-openai:v0.{chance.randrange(100)}.{chance.randrange(100)}"
    uri = f"hf://{_name(chance)}/{_name(chance)}"
    return backend(name, modelURI=uri, workers=[worker(image=image, config=config)], **fields)
