"""What to write instead of a field that the API does not have.

People bring fields along from Deployments, from other operators, or from another level of the
object. The API server drops them.
"""

from __future__ import annotations

import re
from functools import cache

from app.apis.crd import model_booster_schema
from app.values.meta import Object

_POD = "pods use the service account default of their namespace"

_INSTEAD = {
    "annotations": "pods have no annotations of yours",
    "args": "write the arguments into config of the worker",
    "automountServiceAccountToken": f"{_POD}; set it there",
    "command": "the command is given by type; write its arguments into config of the worker",
    "containers": "image, resources and config of the worker describe the engine's container",
    "container": "image, resources and config of the worker describe the engine's container",
    "dnsPolicy": "it cannot be set",
    "enableServiceLinks": "it cannot be set",
    "extraArgs": "write the arguments into config of the worker",
    "gpu": "write it into resources.limits of the worker, for example nvidia.com/gpu",
    "gpus": "write it into resources.limits of the worker, for example nvidia.com/gpu",
    "hostIPC": "it cannot be set",
    "hostNetwork": "it cannot be set",
    "imagePullPolicy": "Kubernetes decides by the tag: a release is pulled if it is not there",
    "imagePullSecrets": f"{_POD}; add imagePullSecrets there",
    "initContainers": "modelURI and loraAdapters name what is downloaded first",
    "labels": "pods have no labels of yours; those of metadata are not copied",
    "lifecycle": "the operator sets it",
    "livenessProbe": "the operator sets the probes",
    "model": "modelURI of the backend says where the model is, spec.name what clients call it",
    "modelName": "spec.name is the model name that clients send",
    "nodeName": "write affinity.nodeAffinity of the worker",
    "nodeSelector": "write affinity.nodeAffinity of the worker",
    "podSecurityContext": "it cannot be set; user and rights come from the image",
    "port": "write port into config of the worker",
    "ports": "write port into config of the worker",
    "priorityClassName": "it cannot be set; a default PriorityClass of the cluster applies",
    "readinessProbe": "the operator sets the probes",
    "revision": "write HF_REVISION or MS_REVISION into env of the backend",
    "secret": "name the Secret in envFrom of the backend",
    "securityContext": "it cannot be set; user and rights come from the image",
    "serviceAccount": f"{_POD}; grant rights to that one",
    "serviceAccountName": f"{_POD}; grant rights to that one",
    "shmSize": "shared memory is mounted at /dev/shm and limited by the memory of the pod",
    "startupProbe": "the operator sets the probes; the annotation "
    "workload.serving.volcano.sh/startup-seconds gives an engine more time",
    "storageUri": "write modelURI of the backend",
    "template": "the fields of the worker describe the pods",
    "terminationGracePeriodSeconds": "the operator sets it",
    "topologySpreadConstraints": "write affinity.podAntiAffinity of the worker",
    "volumeMounts": "write cacheURI of the backend, for example pvc://claim; it is mounted",
    "volumes": "write cacheURI of the backend, for example pvc://claim; it is mounted",
}
"""Well-known fields of pods and of other operators, and what serves their purpose."""

_LEVELS = {
    "spec": "spec",
    "spec.backends[]": "the backend",
    "spec.backends[].workers[]": "the worker",
    "spec.backends[].loraAdapters[]": "an entry of loraAdapters",
}
"""Levels that users confuse, and how a message names them."""

_NOT_MOVED = frozenset({"name", "type"})
"""Fields of several levels that mean something else on each."""

_NEAR = 0.75


def advice_for(path: str) -> str:
    """Returns what to write instead of an unknown field; ``""`` if nothing is known.

    Args:
        path: the path of the field, as the API server writes it.
    """
    level, _, name = path.rpartition(".")
    level = re.sub(r"\[\d+\]", "[]", level).replace("spec.backend.", "spec.backends[].")
    level = "spec.backends[]" if level == "spec.backend" else level
    here = _fields(level)
    for known in here:
        if _plain(known) == _plain(name):
            return f"did you mean {known}?"
    if name in _INSTEAD:
        return _INSTEAD[name]
    for other, told in _LEVELS.items():
        found = [known for known in _fields(other) if _plain(known) == _plain(name)]
        if other != level and found and found[0] not in _NOT_MOVED:
            return f"{found[0]} is a field of {told}"
    near = _nearest(name, here)
    return f"did you mean {near}?" if near else _of_kinds(name)


def _of_kinds(name: str) -> str:
    """Returns the advice for a misspelled field of pods."""
    return _INSTEAD.get(_nearest(name, tuple(_INSTEAD)), "")


def _nearest(name: str, names: tuple[str, ...]) -> str:
    from difflib import get_close_matches

    by_plain = {_plain(known): known for known in names}
    near = get_close_matches(_plain(name), by_plain, 1, _NEAR)
    return by_plain[near[0]] if near else ""


def _plain(name: str) -> str:
    """Returns a name without what people write differently: capitals, dashes, underscores."""
    return re.sub("[-_]", "", name).lower()


@cache
def _fields(level: str) -> tuple[str, ...]:
    """Returns the fields that the API has on a level: ``spec.backends[].workers[]``."""
    schema: Object | None = model_booster_schema()
    for step in level.split(".") if level else ():
        name = step.removesuffix("[]")
        schema = (schema or {}).get("properties", {}).get(name)
        if step.endswith("[]"):
            schema = (schema or {}).get("items")
    return tuple((schema or {}).get("properties", {}))
