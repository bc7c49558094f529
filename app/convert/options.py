"""Conversion options: settings of the cluster operator that apply to every ModelBooster."""

from __future__ import annotations

from dataclasses import field
from functools import lru_cache

from app.apis.kinds import KthenaRelease
from app.model.storage import HOST_PATH_PREFIXES
from app.values.meta import Object
from app.values.value import value

DOWNLOADER_NAME = "model-booster-downloader"
"""Name of our downloader's image, in whatever registry. Any other image is taken for kthena's."""

DOWNLOADER_IMAGE = f"{DOWNLOADER_NAME}:1.0.0"
"""The default. The downloader has a version of its own: a new image restarts every model."""

RUNTIME_IMAGE = "ghcr.io/volcano-sh/runtime:v0.4.0"

STARTUP_SECONDS = 7200
"""Default of ``engine_startup_seconds``: large models load for more than an hour."""

MAX_WAITING_REQUESTS = 10
"""Default of ``max_waiting_requests``: the default of kthena's chart."""

SETTING_PREFIX = "MODELBOOSTER_"
"""Prefix of the environment variables of this program, those of these options among them."""

KTHENA_NAMESPACE = "kthena-system"
"""Default of ``kthena_namespace``: where kthena's documentation installs it."""


@value
class Options:
    """Settings that conversion reads. A changed image restarts the pods of every model.

    Args:
        downloader_image: image of the init containers that fetch models and adapters.
        runtime_image: image of the sidecar that serves metrics.
        image_pull_policy: pull policy of these two images; ``""`` leaves it to Kubernetes.
        downloader_resources: resources of the downloaders.
        downloader_args: extra arguments of the downloaders.
        downloader_user: user id of our downloader in every cache. None: that of the image, for
            which a container of root prepares folders of nodes.
        runtime_resources: resources of the sidecar.
        default_scheduler_name: scheduler of pods for which the user names none.
        engine_startup_seconds: how long an engine may load its model before Kubernetes restarts it.
            A backend can have its own time (annotation ``startup-seconds``).
        engine_env_from: whether engines get ``envFrom`` too, not only downloaders and sidecar.
        kv_events: whether engines publish KV-cache events, by which the router scores pods.
        host_path_prefixes: directories of nodes that ``hostpath://`` may name, including their
            subdirectories. ``/`` allows every directory; an empty tuple allows none.
        kthena_release: release of the installed kthena; None if only its profile is known.
        kthena_namespace: namespace of kthena's controller manager; ``""`` if it is unknown.
        cache_warmup: whether the operator creates the Jobs of ``cacheWarmup``; None if it is not
            known, as for files.
        max_waiting_requests: waiting requests of a pod from which the router sends it no more.
    """

    downloader_image: str = DOWNLOADER_IMAGE
    runtime_image: str = RUNTIME_IMAGE
    image_pull_policy: str = ""
    downloader_resources: Object = field(default_factory=dict)
    downloader_args: tuple[str, ...] = ()
    downloader_user: int | None = None
    runtime_resources: Object = field(default_factory=dict)
    default_scheduler_name: str = "default-scheduler"
    engine_startup_seconds: int = STARTUP_SECONDS
    engine_env_from: bool = True
    kv_events: bool = True
    host_path_prefixes: tuple[str, ...] = HOST_PATH_PREFIXES
    kthena_release: KthenaRelease | None = None
    kthena_namespace: str = KTHENA_NAMESPACE
    max_waiting_requests: int = MAX_WAITING_REQUESTS
    cache_warmup: bool | None = None

    @property
    def has_own_downloader(self) -> bool:
        """Whether the downloader is ours: it reads other variables, and needs fewer rights."""
        return is_own_downloader(self.downloader_image)


@lru_cache(maxsize=64)  # asked about the same image for each backend
def is_own_downloader(image: str) -> bool:
    """Returns whether an image is our downloader, by its name without registry, tag and digest."""
    return image.partition("@")[0].rpartition("/")[2].partition(":")[0] == DOWNLOADER_NAME
