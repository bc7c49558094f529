"""What the pods of one backend depend on, in one value."""

from __future__ import annotations

from app.apis.kinds import Profile
from app.convert.core_v1 import env_from_of, env_of
from app.convert.options import Options
from app.model.forms import BackendForm, Model
from app.model.storage import Cache, adapter_path, cache_of, model_path
from app.values.meta import Object
from app.values.value import value


@value
class PodInputs:
    """One backend on its way to becoming pods.

    What stands in several containers is worked out once, and is the same object in all of them.

    Args:
        model: what it serves.
        backend: the backend itself.
        cache: the volume that holds models.
        profile: the shape of the children.
        options: what the operator of the cluster chose.
        model_path: where the engine finds the model.
        adapter_paths: where it finds each adapter.
        env: the user's variables.
        env_from: ``envFrom`` of a container, if there is any: ConfigMaps and Secrets.
        pull_policy: ``imagePullPolicy`` of our own images, if there is any.
    """

    model: Model
    backend: BackendForm
    cache: Cache
    profile: Profile
    options: Options
    model_path: str
    adapter_paths: list[str]
    env: list[Object]
    env_from: Object
    pull_policy: Object


def pod_inputs(model: Model, backend: BackendForm, profile: Profile, options: Options) -> PodInputs:
    """Returns what the pods of a backend depend on.

    Raises:
        SpecError: its cache cannot be mounted, its models do not lie there, or one of its
            variables cannot be written.
    """
    cache = cache_of(backend, options.host_path_prefixes)
    return PodInputs(
        model,
        backend,
        cache,
        profile,
        options,
        model_path(backend, cache),
        [adapter_path(backend, cache, n) for n in range(len(backend.lora_adapters))],
        env_of(backend, profile),
        {"envFrom": env_from_of(backend)} if backend.env_from else {},
        {"imagePullPolicy": options.image_pull_policy} if options.image_pull_policy else {},
    )
