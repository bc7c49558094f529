"""The desired state of a ModelBooster: everything a pass derives from the spec alone."""

from __future__ import annotations

from dataclasses import dataclass

from app.apis.reasons import Reason
from app.convert.scaling_behavior import only_namespace
from app.errors import InvalidSpec
from app.model.children import Desired
from app.model.forms import Model
from app.model.roles import SERVED_TYPES, autoscaled, served, unserved
from app.validation import Context, validate_and_convert
from app.values.fields import not_supported
from app.values.meta import Object


@dataclass(frozen=True, slots=True)
class DesiredState:
    """The desired state of a ModelBooster.

    Args:
        model: the canonical form of its spec.
        children: the desired children.
        notes: sentences for the message of the condition ``Active``.
    """

    model: Model
    children: tuple[Desired, ...]
    notes: tuple[str, ...]


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
    return DesiredState(model, tuple(children), tuple(_notes(model, context)))


def _notes(model: Model, context: Context) -> list[str]:
    profile = context.release_profile
    scaled = [backend for backend in served(model) if autoscaled(model, backend, profile)]
    only = only_namespace(profile, context.options, model.namespace) if scaled else None
    unread = [
        "nothing is scaled: the installed kthena reads autoscaling policies only in the namespace "
        f'of its controller manager, "{only}" (kthena.namespace of the chart)'
    ]
    return (unread if only and context.profile else []) + [
        f"backend {backend.name} is not scaled: the autoscaler of the installed kthena finds no "
        "pods of a disaggregated backend"
        for backend in served(model)
        if model.is_autoscaled(backend) and not autoscaled(model, backend, profile)
    ]
