"""What is said of fields that the API does not have."""

from __future__ import annotations

import pytest

from app.apis.unknown import advice_for

BACKEND, WORKER = "spec.backends[0]", "spec.backends[1].workers[2]"


@pytest.mark.parametrize(
    ("path", "want"),
    [
        (f"{BACKEND}.imagePullSecrets", "add imagePullSecrets there"),
        (f"{WORKER}.serviceAccountName", "grant rights to that one"),
        (f"{WORKER}.nodeSelector", "affinity.nodeAffinity"),
        (f"{BACKEND}.nodeselector", "affinity.nodeAffinity"),
        (f"{WORKER}.securityContext", "cannot be set"),
        (f"{WORKER}.args", "config of the worker"),
        (f"{WORKER}.command", "config"),
        (f"{WORKER}.volumes", "cacheURI"),
        (f"{WORKER}.volumeMounts", "cacheURI"),
        (f"{WORKER}.ports", "port into config"),
        (f"{WORKER}.livenessProbe", "probes"),
        (f"{BACKEND}.imagePullSecret", "add imagePullSecrets there"),
        (f"{BACKEND}.modelUri", "did you mean modelURI?"),
        (f"{BACKEND}.lora_adapters", "did you mean loraAdapters?"),
        ("spec.backend.minReplica", "did you mean minReplicas?"),
        (f"{WORKER}.env", "env is a field of the backend"),
        ("spec.backend.image", "image is a field of the worker"),
        ("spec.replicas", "replicas is a field of the backend"),
        (f"{WORKER}.resources.limit", "did you mean limits?"),
        ("spec.modelName", "spec.name"),
    ],
)
def test_fields_that_people_bring_along(path: str, want: str) -> None:
    assert want in advice_for(path)


@pytest.mark.parametrize(
    "path",
    ["colour", "spec.colour", "status.x", "spec.modelMatch.headers.h.suffix", f"{WORKER}.name"],
)
def test_nothing_is_invented(path: str) -> None:
    assert advice_for(path) == ""
