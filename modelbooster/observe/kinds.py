"""The kinds that the commands show, with the names that users may type for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.apis.kinds import (
    AUTOSCALING_POLICY,
    AUTOSCALING_POLICY_BINDING,
    MODEL_BOOSTER,
    MODEL_ROUTE,
    MODEL_SERVER,
    MODEL_SERVING,
)
from app.values.meta import Resource


@dataclass(frozen=True, slots=True)
class ShownKind:
    """A kind and its names.

    Args:
        resource: the kind.
        title: its name in messages, in the singular: kthena's CLI calls a ModelBooster "Model".
        plural_title: the same in the plural.
        names: what users may type, in lower case; kthena's CLI introduced those with dashes.
    """

    resource: Resource
    title: str
    plural_title: str
    names: tuple[str, ...]


MODEL_BOOSTERS = ShownKind(
    MODEL_BOOSTER,
    "Model",
    "Models",
    ("model-boosters", "model-booster", "modelboosters", "modelbooster", "mb"),
)

KINDS: tuple[ShownKind, ...] = (
    MODEL_BOOSTERS,
    ShownKind(
        MODEL_SERVING,
        "ModelServing",
        "ModelServings",
        ("model-servings", "model-serving", "modelservings", "modelserving", "ms"),
    ),
    ShownKind(
        MODEL_SERVER,
        "ModelServer",
        "ModelServers",
        ("model-servers", "model-server", "modelservers", "modelserver", "mserver"),
    ),
    ShownKind(
        MODEL_ROUTE,
        "ModelRoute",
        "ModelRoutes",
        ("model-routes", "model-route", "modelroutes", "modelroute", "mroute"),
    ),
    ShownKind(
        AUTOSCALING_POLICY,
        "AutoscalingPolicy",
        "AutoscalingPolicies",
        (
            *("autoscaling-policies", "autoscaling-policy"),
            *("autoscalingpolicies", "autoscalingpolicy", "asp"),
        ),
    ),
    ShownKind(
        AUTOSCALING_POLICY_BINDING,
        "AutoscalingPolicyBinding",
        "AutoscalingPolicyBindings",
        (
            *("autoscaling-policy-bindings", "autoscaling-policy-binding"),
            *("autoscalingpolicybindings", "autoscalingpolicybinding", "aspb"),
        ),
    ),
)
"""Every kind that ``get`` and ``describe`` show, in the order of their help."""


def kind_named(name: str) -> ShownKind | None:
    """Returns the kind that a user names; None if there is none of that name.

    A name may have the group behind it, as in ``modelboosters.workload.serving.volcano.sh``.
    """
    short = name.lower()
    for kind in KINDS:
        if short in kind.names or short == str(kind.resource):
            return kind
    return None


def kind_names() -> Sequence[str]:
    """Returns one name of each kind, for messages."""
    return [kind.names[0] for kind in KINDS]
