"""The init containers that fetch the model and its adapters before the engine starts."""

from __future__ import annotations

from collections.abc import Iterator

from app.apis.fields import Path
from app.apis.meta import Object
from app.apis.storage import is_in_place
from app.convert.core import compact, resources_of
from app.convert.serving import Serving
from app.convert.volumes import weights_mount


def downloads(serving: Serving) -> Iterator[Object]:
    """Yields one container for the model and one per adapter; none for what lies in place.

    All of ``env`` and ``envFrom`` reaches them: that is where credentials are.
    """
    backend, options = serving.backend, serving.options
    wanted = [("model-downloader", backend.model_uri, serving.model_path)]
    wanted += [
        (f"lora-downloader-{position}", adapter.artifact_url, serving.adapter_paths[position])
        for position, adapter in enumerate(backend.lora_adapters)
    ]
    for name, source, folder in wanted:
        if is_in_place(source):
            continue
        yield compact(
            name=name,
            image=options.downloader_image,
            imagePullPolicy=options.image_pull_policy,
            args=["--source", source, "--output-dir", folder, *options.downloader_args],
            env=serving.env,
            envFrom=serving.env_from,
            resources=resources_of(options.downloader_resources, _OPTIONS),
            volumeMounts=[weights_mount(serving.cache)],
        )


_OPTIONS = Path("downloader")
"""Stands before ``resources`` where the operator's setting is no spec's fault."""
