"""The init containers that fetch the model and its adapters before the engine starts."""

from __future__ import annotations

from app.convert.core_v1 import resources_of
from app.convert.pods.inputs import PodInputs
from app.model.forms import cached_fact
from app.model.storage import is_in_place
from app.values.fields import Path
from app.values.meta import Object


@cached_fact
def downloads(inputs: PodInputs) -> Object:
    """Returns ``initContainers``: one for the model and one per adapter.

    A source that is used in place needs no download; the field is missing if none does. The
    containers get all of ``env`` and ``envFrom``, because these hold the credentials.
    """
    backend, options = inputs.backend, inputs.options
    wanted = [("model-downloader", backend.model_uri, inputs.model_path)]
    wanted += [
        (f"lora-downloader-{position}", adapter.artifact_url, inputs.adapter_paths[position])
        for position, adapter in enumerate(backend.lora_adapters)
    ]
    containers = [
        {
            "name": name,
            "image": options.downloader_image,
            **inputs.pull_policy,
            "args": ["--source", source, "--output-dir", folder, *options.downloader_args],
            **({"env": inputs.env} if inputs.env else {}),
            **inputs.env_from,
            "resources": resources_of(options.downloader_resources, _SETTING_PATH),
            "volumeMounts": [inputs.mount],
        }
        for name, source, folder in wanted
        if not is_in_place(source)
    ]
    return {"initContainers": containers} if containers else {}


_SETTING_PATH = Path("downloader")
"""The path in an error if the operator's own setting ``downloader.resources`` is invalid."""
