"""Rules and advice about ``cacheWarmup``."""

from __future__ import annotations

from collections.abc import Iterator

from app.apis.scheduling import CacheWarmup
from app.convert.warmup import WARMUP_OFF, has_downloads, is_per_node
from app.model.forms import BackendForm
from app.validation.inputs import RuleInputs
from app.validation.rules.placement import toleration_faults
from app.values.fields import FieldError, Path, forbidden, invalid, required
from app.values.names import qualified_faults, value_faults


def warmups_can_work(inputs: RuleInputs) -> Iterator[FieldError]:
    """``cacheWarmup`` has a cache that outlives pods, something to download, and nodes to do so."""
    for form, warmup, path in _warmed(inputs):
        if not form.cache_uri:
            yield forbidden(
                path,
                "there is no cache to warm up: set cacheURI to hostpath:///folder or pvc://claim",
            )
        elif not has_downloads(form):
            yield forbidden(
                path, "nothing is downloaded: a model with pvc:// is used where it is; leave it out"
            )
        elif is_per_node(form) and not warmup.node_selector:
            yield required(
                path.child("nodeSelector"),
                "labels of the nodes to download to, because hostpath:// is a folder of each node; "
                "kubernetes.io/os: linux selects all Linux nodes",
            )


def warmup_placement_is_sound(inputs: RuleInputs) -> Iterator[FieldError]:
    """The labels and tolerations of ``cacheWarmup`` are valid in a pod."""
    for _, warmup, path in _warmed(inputs):
        for key, value in (warmup.node_selector or {}).items():
            at = path.child("nodeSelector")
            for fault in qualified_faults(key):
                yield invalid(at, key, fault)
            for fault in value_faults(value):
                yield invalid(at.key(key), value, fault)
        for position, toleration in enumerate(warmup.tolerations or ()):
            yield from toleration_faults(
                path.child("tolerations").index(position), dict(toleration)
            )


def warmups_are_done(inputs: RuleInputs) -> Iterator[str]:
    """The operator may create Jobs."""
    if inputs.context.options.cache_warmup is False:
        for _, _, path in _warmed(inputs):
            yield f"{path}: has no effect: {WARMUP_OFF}"


def _warmed(inputs: RuleInputs) -> Iterator[tuple[BackendForm, CacheWarmup, Path]]:
    for form in inputs.served_backends:
        if form.cache_warmup is not None:
            yield form, form.cache_warmup, form.path.child("cacheWarmup")
