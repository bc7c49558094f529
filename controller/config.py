"""The configuration of a controller."""

from __future__ import annotations

from dataclasses import field

from app.apis.kinds import Profile
from app.cache.timing import DEFAULT_TIMING, Timing
from app.convert.options import Options
from app.installed import Detector
from app.kube import Kube
from app.values.value import keyword_value
from controller.cluster.download_logs import ROUND_SECONDS
from controller.queue.workers import CONTROLLER_NAME
from controller.reconcile.conflict_state import CONFLICT_TIMING, ConflictTiming
from controller.timing import READY_SECONDS


@keyword_value
class ControllerConfig:
    """What a controller reconciles, and how.

    Args:
        options: options of the conversion.
        profile: the shape of the children; None to detect it.
        namespaces: namespaces of the ModelBoosters; all if empty.
        workers: number of passes that run concurrently.
        resync_seconds: interval after which a ModelBooster is reconciled without a change.
        instance: name of this replica, for Events.
        timing: time limits of the informers.
        conflict_timing: how often to check whether a conflicting controller is gone.
        poll_seconds: interval between detections of the installed kthena release.
        watch_pods: whether to watch pods, to say why a backend is not ready.
        download_log_seconds: shortest time between two readings of the log of a downloader, which
            says how far it is; None to read none.
        touch_pods: whether to annotate pods after their ModelServer was created again, unless the
            installed release does not need it.
        rollout_wave_size: number of ModelBoosters that may restart pods concurrently without
            an edit of their spec; 0 for none.
        route_ready_seconds: how long a backend has to be available before it comes back into the
            ModelRoute.
    """

    options: Options = field(default_factory=Options)
    profile: Profile | None = None
    namespaces: tuple[str, ...] = ()
    workers: int = 16
    resync_seconds: float = 36000
    instance: str = CONTROLLER_NAME
    timing: Timing = DEFAULT_TIMING
    conflict_timing: ConflictTiming = CONFLICT_TIMING
    poll_seconds: float = 60
    watch_pods: bool = True
    download_log_seconds: float | None = ROUND_SECONDS
    touch_pods: bool = False
    rollout_wave_size: int = 0
    route_ready_seconds: float = READY_SECONDS

    def detector(self, kube: Kube) -> Detector:
        """Returns the detector of the installed kthena."""
        release, namespace = self.options.kthena_release, self.options.kthena_namespace
        return Detector(kube, self.profile, release, namespace)
