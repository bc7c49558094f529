"""The desired state of a ModelBooster: everything a pass derives from what users wrote alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from app.apis.reasons import Reason
from app.convert.pods.inputs import PodInputs
from app.convert.scaling_behavior import only_namespace
from app.convert.warmup import WARMUP_OFF, warmup_inputs
from app.errors import InvalidSpec
from app.model.children import Desired
from app.model.forms import Model
from app.model.roles import SERVED_TYPES, autoscaled, served, unserved
from app.validation import Context, validate_and_convert
from app.values.fields import not_supported
from app.values.meta import Object
from app.values.value import value
from controller.plan.rollout_marks import with_fingerprints


@value
class DesiredState:
    """The desired state of a ModelBooster.

    Args:
        model: the canonical form of its spec.
        children: the desired children, with fingerprints.
        notes: sentences for the message of the condition ``Active``.
        warmups: what the Jobs of ``cacheWarmup`` depend on, by name of the backend; empty if the
            operator creates none.
    """

    model: Model
    children: tuple[Desired, ...]
    notes: tuple[str, ...]
    warmups: Mapping[str, PodInputs] = field(default_factory=dict)


def desired_state(booster: Object, context: Context) -> DesiredState:
    """Returns the desired state of a stored ModelBooster.

    Raises:
        InvalidSpec: the spec breaks a rule, cannot be converted, or has only backends of types
            that are not served yet.
    """
    model, children = validate_and_convert(booster, context)
    if not served(model):
        types = sorted(SERVED_TYPES)
        raise InvalidSpec(
            [not_supported(b.path.child("type"), b.type, types) for b in unserved(model)],
            Reason.UNSUPPORTED_TYPE,
        )
    notes = tuple(_notes(model, context))
    children = with_fingerprints(booster, children)
    return DesiredState(model, tuple(children), notes, _warmups(model, context))


def _warmups(model: Model, context: Context) -> dict[str, PodInputs]:
    if not context.options.cache_warmup:
        return {}
    found = {}
    for backend in served(model):
        inputs = warmup_inputs(model, backend, context.release_profile, context.options)
        if inputs is not None:
            found[backend.name] = inputs
    return found


def _notes(model: Model, context: Context) -> list[str]:
    profile = context.release_profile
    scaled = [backend for backend in served(model) if autoscaled(model, backend, profile)]
    only = only_namespace(profile, context.options, model.namespace) if scaled else None
    unread = [
        "nothing is scaled: the installed kthena reads autoscaling policies only in the namespace "
        f'of its controller manager, "{only}" (kthena.namespace of the chart)'
    ]
    is_off = not context.options.cache_warmup
    unwarmed = [b.name for b in served(model) if is_off and b.cache_warmup is not None]
    off = [f"cacheWarmup of {', '.join(unwarmed)} has no effect: {WARMUP_OFF}"] if unwarmed else []
    return (
        (unread if only and context.profile else [])
        + off
        + [
            f"backend {backend.name} is not scaled: the autoscaler of the installed kthena finds "
            "no pods of a disaggregated backend"
            for backend in served(model)
            if model.is_autoscaled(backend) and not autoscaled(model, backend, profile)
        ]
    )
