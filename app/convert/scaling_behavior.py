"""How fast kthena's autoscaler may scale, and where: ``behavior`` of an AutoscalingPolicy.

kthena scales down to the largest number that it noted in ``stabilizationWindow``. Where it notes
its own answer, which already contains that maximum, and not what the load asked for, the number
never falls again. There the window must be 0, and ``percent`` and ``period`` make it slow.
"""

from __future__ import annotations

from app.apis.kinds import KthenaRelease, Profile
from app.convert.options import Options
from app.values.meta import Object

WINDOW = "5m0s"
"""Default of kthena: scale down to what was needed in the last five minutes."""

NOTES_LOAD = KthenaRelease(0, 4, 0)
"""First release of profile B that notes what the load asked for, for a policy with one target."""

READS_ALL_NAMESPACES = KthenaRelease(0, 3, 0)
"""First release whose autoscaler reads policies in every namespace."""


def behavior(profile: Profile, options: Options, *, is_weighed: bool) -> Object:
    """Returns the scaling behavior of a policy, with panic mode off.

    Every field is set, because the defaults of kthena's schema and webhook differ, and kthena
    v0.1.0 has neither.

    Args:
        profile: the profile of the children.
        options: has the release of kthena, if it is known.
        is_weighed: whether the policy scales several backends by cost.
    """
    return {
        "scaleUp": {
            "stablePolicy": _pace(instances=4, percent=100, window="0s"),
            "panicPolicy": {
                "percent": 0,
                "period": "0s",
                "panicThresholdPercent": 200,
                "panicModeHold": "0s",
            },
        },
        "scaleDown": (
            _pace(instances=0, percent=100, window=WINDOW)
            if has_window(profile, options.kthena_release) and not is_weighed
            # At least one at a time: 20 % of 4 replicas would be none, and it would stop there.
            else _pace(instances=1, percent=20, window="0s")
        ),
    }


def has_window(profile: Profile, release: KthenaRelease | None) -> bool:
    """Returns whether a policy with one target scales down again under a ``stabilizationWindow``.

    False if a release of profile B is unknown, because it might be one that does not.
    """
    if profile is Profile.B:
        return release is not None and release >= NOTES_LOAD
    return profile is Profile.C


def only_namespace(profile: Profile, options: Options, namespace: str) -> str | None:
    """Returns the only namespace whose policies are read; None if ours are read too.

    Args:
        profile: the profile of the children.
        options: has release and namespace of kthena.
        namespace: the namespace of a ModelBooster.
    """
    release = options.kthena_release
    old = profile is Profile.A if release is None else release < READS_ALL_NAMESPACES
    only = options.kthena_namespace
    return only if old and only and only != namespace else None


def _pace(*, instances: int, percent: int, window: str) -> Object:
    return {
        "instances": instances,
        "percent": percent,
        "period": "1m0s",
        "selectPolicy": "Or",
        "stabilizationWindow": window,
    }
