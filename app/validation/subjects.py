"""What an object has that rules can be about."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum, auto

from app.model.forms import BackendForm
from app.model.roles import DISAGGREGATED_TYPES


class Subject(Enum):
    """What a rule can be about, and an object can lack."""

    POLICY = auto()
    """An ``autoscalingPolicy``, of the model or of a backend."""
    CONFIG = auto()
    """A ``config`` with an entry."""
    NODES = auto()
    """A worker with ``pods`` above 1."""
    DISAGGREGATED = auto()
    """A backend with prefill and decode."""
    ADAPTERS = auto()
    """A LoRA adapter."""
    ENVIRONMENT = auto()
    """An entry of ``env`` or ``envFrom``."""
    RESOURCES = auto()
    """``resources`` of a worker."""
    PLACEMENT = auto()
    """A toleration, an affinity or a ``runtimeClassName``."""
    OBJECT_STORAGE = auto()
    """A model or adapter in object storage."""
    WARMUP = auto()
    """A ``cacheWarmup``."""
    OTHERS = auto()
    """Other objects of the cluster to compare with."""


OBJECT_STORAGE = ("s3://", "obs://")
"""What addresses in object storage begin with."""

EVERY_SUBJECT = (True,) * len(Subject)


def subjects_of(
    backends: Iterable[BackendForm], *, has_policy: bool, has_others: bool
) -> tuple[bool, ...]:
    """Returns whether an object has each subject, in the order of ``Subject``.

    Args:
        backends: all of its backends.
        has_policy: whether the model has a policy.
        has_others: whether there are other objects to compare with.
    """
    policy = has_policy
    config = nodes = disaggregated = adapters = variables = resources = placement = False
    storage = warmup = False
    for form in backends:
        policy = policy or form.policy is not None
        disaggregated = disaggregated or form.type in DISAGGREGATED_TYPES
        adapters = adapters or form.lora_adapters != ()
        variables = variables or form.env != [] or form.env_from != []
        placement = placement or form.runtime_class_name is not None
        storage = storage or form.model_uri.startswith(OBJECT_STORAGE)
        warmup = warmup or form.cache_warmup is not None
        for adapter in form.lora_adapters:
            storage = storage or adapter.artifact_url.startswith(OBJECT_STORAGE)
        for worker in form.workers:
            config = config or worker.config != {}
            nodes = nodes or worker.pods > 1
            resources = resources or worker.resources != {}
            placement = placement or worker.affinity is not None or worker.tolerations != []
    return (
        policy,
        config,
        nodes,
        disaggregated,
        adapters,
        variables,
        resources,
        placement,
        storage,
        warmup,
        has_others,
    )
