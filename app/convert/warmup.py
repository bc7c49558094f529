"""Converts ``cacheWarmup`` into Jobs: one for each chosen node, or one for the claim.

A Job runs the downloads of the backend's pods: the same containers, folders and credentials. It is
no converter of ``CONVERTERS``, because the nodes are no part of the spec.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from app.apis.kinds import BACKEND_NAME, JOB, MODEL_NAME, WORKLOAD, Profile
from app.apis.scheduling import CacheWarmup
from app.convert.core_v1 import omit_empty
from app.convert.options import Options
from app.convert.pods.downloads import CACHE_OWNER, downloads
from app.convert.pods.inputs import WEIGHTS, PodInputs, pod_inputs
from app.model.children import child, revision
from app.model.forms import BackendForm, Model
from app.model.names import MAX_NAME_LENGTH, backend_child_name
from app.model.storage import is_in_place
from app.values.meta import Object

WARMUP_MODEL = f"{WORKLOAD}/warmup-model"
"""Annotation of a Job: the hash of what it downloads, see ``model_hash``."""

WARMUP_NODE = f"{WORKLOAD}/warmup-node"
"""Annotation of a Job: the node that it downloads to; ``""`` for a claim."""

WARMUP_OFF = (
    "the operator may not create Jobs; set cacheWarmup.enabled of the Helm chart "
    "(MODELBOOSTER_CACHE_WARMUP)"
)
"""Why ``cacheWarmup`` has no effect, if ``Options.cache_warmup`` is False."""

DEADLINE_SECONDS = 21_600
"""Default of ``activeDeadlineSeconds``."""

BACKOFF_LIMIT = 4
"""How often Kubernetes retries a download, with pauses of 10 s to 80 s."""

REFUSED_EXIT_CODE = 77
"""Exit code of our downloader for a failure that a retry does not fix, such as a refused token."""

USAGE_EXIT_CODE = 2
"""Exit code of every downloader for wrong arguments."""

_EXIT_CODE_VARIABLE = "MODELBOOSTER_REFUSED_EXIT_CODE"
"""Asks our downloader for ``REFUSED_EXIT_CODE``; kthena's always exits with 1."""


def warmup_inputs(
    model: Model, backend: BackendForm, profile: Profile, options: Options
) -> PodInputs | None:
    """Returns what the Jobs of a backend depend on; None if it asks for none.

    Raises:
        SpecError: as for ``pod_inputs``.
    """
    if backend.cache_warmup is None or not has_downloads(backend):
        return None
    if not (backend.cache_uri or "").startswith(("pvc://", "hostpath://")):
        return None
    return pod_inputs(model, backend, profile, options)


def has_downloads(backend: BackendForm) -> bool:
    """Whether the model or an adapter of a backend is downloaded, not used in place."""
    adapters = [adapter.artifact_url for adapter in backend.lora_adapters]
    return not all(map(is_in_place, [backend.model_uri, *adapters]))


def is_per_node(backend: BackendForm) -> bool:
    """Whether a backend is warmed up on each node, not once for a claim."""
    return (backend.cache_uri or "").startswith("hostpath://")


def warmup_job(inputs: PodInputs, node: str = "") -> Object:
    """Returns the Job that downloads the model and the adapters of a backend.

    Args:
        inputs: what the pods of the backend depend on; ``cacheWarmup`` is set.
        node: the node to download to; ``""`` for a claim.
    """
    model, backend = inputs.model, inputs.backend
    spec = _spec(inputs, backend.cache_warmup or CacheWarmup(), node)
    # The name tells everything apart, also the Jobs of a deleted ModelBooster of the same name.
    identity = "\0".join([model.uid, revision(spec), node])
    digest = hashlib.sha256(identity.encode()).hexdigest()[:10]
    suffix = f"-warm-{digest}"
    base = backend_child_name(model, backend)[: MAX_NAME_LENGTH - len(suffix)].rstrip("-")
    job = child(model, JOB, f"{base}{suffix}", spec, backend=backend)
    annotations = {WARMUP_MODEL: model_hash([spec["template"]["spec"]]), WARMUP_NODE: node}
    job["metadata"]["annotations"] = annotations
    return job


def model_hash(pods: Iterable[Object]) -> str:
    """Returns a hash of what the downloads of pods fetch, and where to: sources and folders.

    Images, credentials and resources do not count: the files in the cache are the same.

    Args:
        pods: specs of pods.
    """
    found = set()
    for pod in pods:
        for container in (*(pod.get("initContainers") or ()), *(pod.get("containers") or ())):
            args = container.get("args") or []
            if {"--source", "--output-dir"} <= {*args[:-1]}:
                found.add(tuple(args[args.index(n) + 1] for n in ("--source", "--output-dir")))
    return revision(sorted(found))


def _spec(inputs: PodInputs, warmup: CacheWarmup, node: str) -> Object:
    return {
        "backoffLimit": BACKOFF_LIMIT,
        "activeDeadlineSeconds": warmup.active_deadline_seconds or DEADLINE_SECONDS,
        "podFailurePolicy": {
            "rules": [
                {  # neither a refused token nor a wrong argument gets better
                    "action": "FailJob",
                    "onExitCodes": {
                        "operator": "In",
                        "values": [USAGE_EXIT_CODE, REFUSED_EXIT_CODE],
                    },
                },
                {  # a drained node says nothing about the download
                    "action": "Ignore",
                    "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
                },
            ]
        },
        "template": {
            # Not the labels of the backend's pods: no ModelServer may select these.
            "metadata": {
                "labels": {
                    MODEL_NAME: inputs.model.name,
                    BACKEND_NAME: inputs.backend.name,
                    # A sidecar of a service mesh does not end, and neither would the Job.
                    "sidecar.istio.io/inject": "false",
                },
                "annotations": {"linkerd.io/inject": "disabled"},
            },
            "spec": _pod(inputs, warmup, node),
        },
    }


def _pod(inputs: PodInputs, warmup: CacheWarmup, node: str) -> Object:
    written = downloads(inputs)
    containers = written["initContainers"]
    if inputs.options.has_own_downloader:
        containers = [
            each if each["name"] == CACHE_OWNER else _with_exit_code(each) for each in containers
        ]
    before = {"initContainers": containers[:-1]} if len(containers) > 1 else {}
    pod = {
        **{key: value for key, value in written.items() if key != "initContainers"},
        "restartPolicy": "Never",  # which podFailurePolicy requires
        "enableServiceLinks": False,
        **before,
        "containers": containers[-1:],
        "volumes": [{"name": WEIGHTS, **inputs.cache.volume}],
    }
    if tolerations := warmup_tolerations(inputs.backend):
        pod["tolerations"] = [omit_empty(each) for each in tolerations]
    if node:
        field = {"key": "metadata.name", "operator": "In", "values": [node]}
        terms = {"nodeSelectorTerms": [{"matchFields": [field]}]}
        required = {"requiredDuringSchedulingIgnoredDuringExecution": terms}
        pod["affinity"] = {"nodeAffinity": required}
    elif warmup.node_selector:
        pod["nodeSelector"] = dict(sorted(warmup.node_selector.items()))
    return pod


def warmup_tolerations(backend: BackendForm) -> list[Object]:
    """Returns the taints that the Jobs tolerate: those of the workers, and those of the field."""
    found: list[Object] = []
    written = backend.cache_warmup.tolerations if backend.cache_warmup else None
    own: list[Object] = [dict(each) for each in written or ()]
    for toleration in [t for worker in backend.workers for t in worker.tolerations] + own:
        if toleration not in found:
            found.append(toleration)
    return found


def _with_exit_code(container: Object) -> Object:
    variable = {"name": _EXIT_CODE_VARIABLE, "value": str(REFUSED_EXIT_CODE)}
    return {**container, "env": [*container.get("env", ()), variable]}
