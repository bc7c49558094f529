"""The init containers that fetch the model and its adapters before the engine starts.

Our downloader runs with few rights. Another image, such as kthena's, runs as it always did.
"""

from __future__ import annotations

from app.convert.core_v1 import resources_of
from app.convert.options import Options
from app.convert.pods.inputs import PodInputs
from app.model.forms import cached_fact
from app.model.storage import Cache, is_in_place
from app.values.fields import Path
from app.values.meta import Object

MODEL_DOWNLOADER = "model-downloader"
"""Name of the container that fetches the model."""

ADAPTER_DOWNLOADER = "lora-downloader-"
"""What the names of the containers that fetch adapters begin with."""


@cached_fact
def downloads(inputs: PodInputs) -> Object:
    """Returns ``initContainers``: one for the model and one per adapter.

    A source that is used in place needs no download; the field is missing if none does. If the
    containers need the group of the volume, the pod's ``securityContext`` is there too.
    """
    containers = download_containers(inputs)
    if not containers:
        return {}
    return {"initContainers": containers, **_pod_rights(inputs.cache, inputs.options)}


def download_containers(inputs: PodInputs) -> list[Object]:
    """Returns a container for each source of a backend that is downloaded.

    They get all of ``env`` and ``envFrom``, because these hold the credentials. They mount the
    cache (``volumes.volumes``), and end when their source is in its folder.
    """
    backend, options = inputs.backend, inputs.options
    wanted = [(MODEL_DOWNLOADER, backend.model_uri, inputs.model_path)]
    wanted += [
        (f"{ADAPTER_DOWNLOADER}{position}", adapter.artifact_url, inputs.adapter_paths[position])
        for position, adapter in enumerate(backend.lora_adapters)
    ]
    is_own = options.has_own_downloader
    ours = _ours(inputs.cache, options) if is_own else {}
    # The controller reads this form in the log. ``downloader_args`` may choose the other one.
    form = ["--progress", "json"] if is_own else []
    return [
        {
            "name": name,
            "image": options.downloader_image,
            **inputs.pull_policy,
            "args": ["--source", source, "--output-dir", folder, *form, *options.downloader_args],
            **({"env": inputs.env} if inputs.env else {}),
            **inputs.env_from,
            "resources": resources_of(options.downloader_resources, _SETTING_PATH),
            "volumeMounts": [inputs.mount],
            **ours,
        }
        for name, source, folder in wanted
        if not is_in_place(source)
    ]


def _ours(cache: Cache, options: Options) -> Object:
    """Returns what our downloader has besides: few rights, and its last words if it is killed.

    Kthena's downloader runs as root, so folders of nodes and claims that it has filled, and folders
    that the kubelet creates, belong to root. Root without capabilities cannot write to folders of
    others; DAC_OVERRIDE lets it. An emptyDir is writable for everybody.
    """
    rights: Object = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    user = options.downloader_user
    if user is None and "emptyDir" not in cache.volume:
        user = 0
    if user == 0:
        rights["capabilities"] = {"drop": ["ALL"], "add": ["DAC_OVERRIDE"]}
        rights |= {"runAsUser": 0, "runAsGroup": 0}
    else:
        rights["runAsNonRoot"] = True
        if user is not None:
            rights |= {"runAsUser": user, "runAsGroup": user}
    return {"securityContext": rights, "terminationMessagePolicy": "FallbackToLogsOnError"}


def _pod_rights(cache: Cache, options: Options) -> Object:
    """Returns the field that makes a claim writable for the user that a setting names."""
    user = options.downloader_user
    if not user or cache.claim is None or not options.has_own_downloader:
        return {}
    return {"securityContext": {"fsGroup": user, "fsGroupChangePolicy": "OnRootMismatch"}}


_SETTING_PATH = Path("downloader")
"""The path in an error if the operator's own setting ``downloader.resources`` is invalid."""
