"""The init containers that fetch the model and its adapters before the engine starts."""

from __future__ import annotations

from collections.abc import Iterator

from app.apis.fields import Path
from app.apis.meta import Object
from app.apis.storage import adapter_path, is_in_place, model_path
from app.convert.core import compact, env_from_of, env_of, resources_of
from app.convert.serving import Serving
from app.convert.volumes import weights_mount


def downloads(serving: Serving) -> Iterator[Object]:
    """Yields one container for the model and one per adapter; none for what lies in place.

    All of ``env`` and ``envFrom`` reaches them: that is where credentials are.
    """
    backend, cache, options = serving.backend, serving.cache, serving.options
    wanted = [("model-downloader", backend.model_uri, model_path(backend, cache))]
    wanted += [
        (
            f"lora-downloader-{position}",
            adapter.artifact_url,
            adapter_path(backend, cache, position),
        )
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
            env=env_of(backend, serving.profile),
            envFrom=env_from_of(backend),
            resources=resources_of(options.downloader_resources, Path("downloaderResources")),
            volumeMounts=[weights_mount(cache)],
        )
