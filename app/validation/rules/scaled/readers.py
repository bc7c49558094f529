"""Warnings about policies that the installed kthena does not read, or reads in another way."""

from __future__ import annotations

from collections.abc import Iterator

from app.apis.kinds import Profile
from app.convert.scaling_behavior import READS_ALL_NAMESPACES, only_namespace
from app.model.forms import PolicyScope
from app.validation.inputs import RuleInputs
from app.validation.rules.scaled.given import scaled


def policies_are_read(inputs: RuleInputs) -> Iterator[str]:
    """The autoscaler of kthena up to v0.2.0 only reads policies in its own namespace."""
    if inputs.model.policy_scope is PolicyScope.NONE or inputs.context.profile is None:
        return
    model, options = inputs.model, inputs.context.options
    only = only_namespace(inputs.context.release_profile, options, model.namespace)
    if only is None:
        return
    for each in scaled(inputs):
        yield (
            f"{each.path}: nothing scales in this namespace, because the installed kthena reads "
            f'policies only in its own, "{only}" (kthena.namespace of the chart); create the '
            f"ModelBooster there, or upgrade kthena to {READS_ALL_NAMESPACES}"
        )


def backends_are_weighed(inputs: RuleInputs) -> Iterator[str]:
    """Kthena v0.1.0 never reads the targets of a policy of the model."""
    if not inputs.has_model_policy or inputs.context.profile is not Profile.A:
        return
    yield (
        "spec.autoscalingPolicy: the installed kthena v0.1.0 cannot weigh backends by cost, so "
        "each is scaled by itself between its bounds and scalingCost is ignored; upgrade kthena "
        "to weigh them"
    )
