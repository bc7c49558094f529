"""The init containers that fetch the model and its adapters before the engine starts."""

from __future__ import annotations

from app.convert.core_v1 import resources_of
from app.convert.pods.inputs import Serving
from app.convert.pods.volumes import weights_mount
from app.model.storage import is_in_place
from app.values.fields import Path
from app.values.meta import Object


def downloads(serving: Serving) -> Object:
    """Returns ``initContainers``: one for the model and one per adapter.

    There is none for what lies in place, and then perhaps none at all. All of ``env`` and
    ``envFrom`` reaches them: that is where credentials are.
    """
    backend, options = serving.backend, serving.options
    wanted = [("model-downloader", backend.model_uri, serving.model_path)]
    wanted += [
        (f"lora-downloader-{position}", adapter.artifact_url, serving.adapter_paths[position])
        for position, adapter in enumerate(backend.lora_adapters)
    ]
    containers = [
        {
            "name": name,
            "image": options.downloader_image,
            **serving.pull_policy,
            "args": ["--source", source, "--output-dir", folder, *options.downloader_args],
            **({"env": serving.env} if serving.env else {}),
            **serving.env_from,
            "resources": resources_of(options.downloader_resources, _OPTIONS),
            "volumeMounts": [weights_mount(serving.cache)],
        }
        for name, source, folder in wanted
        if not is_in_place(source)
    ]
    return {"initContainers": containers} if containers else {}


_OPTIONS = Path("downloader")
"""Stands before ``resources`` where the operator's setting is no spec's fault."""
