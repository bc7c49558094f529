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
from app.errors import UsageError
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
    short, dot, group = name.lower().partition(".")
    for kind in KINDS:
        if short in kind.names and (not dot or group == kind.resource.group):
            return kind
    return None


def split_name(text: str) -> tuple[ShownKind | None, str]:
    """Returns the kind and the name of ``NAME`` or ``KIND/NAME``, the form that kubectl prints.

    Raises:
        UsageError: it has a slash, but is not of this form.
    """
    kind, slash, name = text.partition("/")
    if not slash:
        return None, text
    found = kind_named(kind)
    if found is None or not name or "/" in name:
        raise UsageError(f'"{text}" is no name of an object; write NAME or KIND/NAME, as mb/qwen')
    return found, name


def kind_names() -> Sequence[str]:
    """Returns one name of each kind, for messages."""
    return [kind.names[0] for kind in KINDS]
