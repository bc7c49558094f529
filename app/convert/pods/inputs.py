"""The inputs of the pod templates of one backend."""

from __future__ import annotations

from dataclasses import field

from app.apis.kinds import Profile
from app.convert.core_v1 import env_from_of, env_of
from app.convert.options import Options
from app.model.forms import BackendForm, Facts, Model
from app.model.ports import engine_port, runtime_port
from app.model.roles import is_disaggregated
from app.model.storage import Cache, adapter_path, cache_of, model_path
from app.values.meta import Object
from app.values.value import value

WEIGHTS = "weights"
"""Name of the volume that holds models."""


@value
class PodInputs:
    """What the pod templates of one backend depend on.

    Values that several containers need are computed once; the containers share the same objects.

    Args:
        model: the model that the backend belongs to.
        backend: the backend.
        cache: the volume that holds models.
        mount: the writable mount of this volume.
        profile: the profile of the children.
        options: the settings of the cluster operator.
        model_path: path of the model in the engine's container.
        adapter_paths: paths of the adapters, in the order of ``loraAdapters``.
        env: the user's variables.
        env_from: the field ``envFrom`` of a container; ``{}`` if the user sets none.
        engine_env_from: the same for engines, which do not get it if a setting says so.
        pull_policy: the field ``imagePullPolicy`` of our own images; ``{}`` if it is not set.
        sidecar_port: the port of the metrics sidecar.
        port: the port of the engines.
        is_disaggregated: whether prefill and decode run in different pods.
    """

    model: Model
    backend: BackendForm
    cache: Cache
    mount: Object
    profile: Profile
    options: Options
    model_path: str
    adapter_paths: list[str]
    env: list[Object]
    env_from: Object
    engine_env_from: Object
    pull_policy: Object
    sidecar_port: int
    port: int
    is_disaggregated: bool
    facts: Facts = field(default_factory=dict, init=False, compare=False, repr=False)


def pod_inputs(model: Model, backend: BackendForm, profile: Profile, options: Options) -> PodInputs:
    """Returns what the pod templates of a backend depend on.

    Raises:
        SpecError: the cache cannot be mounted, a model is outside of it, a port is not valid, or
            an environment variable cannot be converted.
    """
    cache = cache_of(backend, options.host_path_prefixes)
    env_from: Object = {"envFrom": env_from_of(backend)} if backend.env_from else {}
    return PodInputs(
        model=model,
        backend=backend,
        cache=cache,
        mount=weights_mount(cache),
        profile=profile,
        options=options,
        model_path=model_path(backend, cache),
        adapter_paths=[adapter_path(backend, cache, n) for n in range(len(backend.lora_adapters))],
        env=env_of(backend, profile),
        env_from=env_from,
        engine_env_from=env_from if options.engine_env_from else {},
        pull_policy=(
            {"imagePullPolicy": options.image_pull_policy} if options.image_pull_policy else {}
        ),
        sidecar_port=runtime_port(backend),
        port=engine_port(backend),
        is_disaggregated=is_disaggregated(backend),
    )


def weights_mount(cache: Cache) -> Object:
    """Returns the writable mount of the cache."""
    folder = {"subPath": cache.folder} if cache.folder else {}
    return {"name": WEIGHTS, "mountPath": cache.path, **folder}
