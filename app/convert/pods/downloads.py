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

CACHE_OWNER = "cache-owner"
"""Name of the container that gives folders of a node to the user of the downloads."""

USER = 65532
"""User and group of the downloads, those of the image, if no setting names others."""


@cached_fact
def downloads(inputs: PodInputs) -> Object:
    """Returns ``initContainers``: one for the model and one per adapter.

    A source that is used in place needs no download; the field is missing if none does. If the
    containers need the group of the volume, the pod's ``securityContext`` is there too.
    """
    containers = download_containers(inputs)
    if not containers:
        return {}
    owner = _owner(inputs, containers)
    return {"initContainers": [*owner, *containers], **_pod_rights(inputs.cache, inputs.options)}


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

    An emptyDir is writable for everybody, so the user of the image will do, or one that the cluster
    chooses. In other caches all downloads have the same user, because they share files. Root
    without capabilities could not write to folders of others; DAC_OVERRIDE lets it.
    """
    user = options.downloader_user
    if user is None and "emptyDir" not in cache.volume:
        user = USER
    rights = _rights(0, "DAC_OVERRIDE") if user == 0 else _rights(user)
    return {"securityContext": rights, "terminationMessagePolicy": "FallbackToLogsOnError"}


def _rights(user: int | None, *capabilities: str) -> Object:
    """Returns the rights of a container; without a user, it is that of the image."""
    rights: Object = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    if capabilities:
        rights["capabilities"]["add"] = list(capabilities)
    if user != 0:
        rights["runAsNonRoot"] = True
    if user is not None:
        rights |= {"runAsUser": user, "runAsGroup": user}
    return rights


def _owner(inputs: PodInputs, containers: list[Object]) -> list[Object]:
    """Returns the container that gives the folders of models on a node to the downloads' user.

    The kubelet makes the folder of a node for root, as which kthena's downloader filled it, and
    ``fsGroup`` changes no folder of a node. The container has no variables, so no credentials. If a
    setting names the user, the folders are its own already.
    """
    options = inputs.options
    is_needed = options.has_own_downloader and options.downloader_user is None
    if not is_needed or "hostPath" not in inputs.cache.volume:
        return []
    folders = [container["args"][3] for container in containers]
    return [
        {
            "name": CACHE_OWNER,
            "image": options.downloader_image,
            **inputs.pull_policy,
            "args": ["prepare", "--user", str(USER), *dict.fromkeys(folders)],
            "resources": resources_of(options.downloader_resources, _SETTING_PATH),
            "volumeMounts": [inputs.mount],
            "securityContext": _rights(0, "CHOWN", "DAC_OVERRIDE"),
            "terminationMessagePolicy": "FallbackToLogsOnError",
        }
    ]


def _pod_rights(cache: Cache, options: Options) -> Object:
    """Returns the field that makes a claim writable for the user of the downloads."""
    user = USER if options.downloader_user is None else options.downloader_user
    if not user or cache.claim is None or not options.has_own_downloader:
        return {}
    return {"securityContext": {"fsGroup": user, "fsGroupChangePolicy": "OnRootMismatch"}}


_SETTING_PATH = Path("downloader")
"""The path in an error if the operator's own setting ``downloader.resources`` is invalid."""
