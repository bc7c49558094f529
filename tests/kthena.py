"""The rules of kthena's own admission webhooks for the children, by release.

The rules are not part of the CRDs, so the API server of the tests does not check them. There are
few, and kthena's code documents them. This file repeats them for the children that we create. It
leaves out rules that no release ever enforced, because the webhook was registered for another
group; for example, v0.1.0 wants the scheduler to be volcano.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from decimal import Decimal

import re2

from app.apis.kinds import Profile
from app.model.children import Desired
from app.values.duration import parse_duration
from app.values.meta import Object
from app.values.quantity import parse_quantity

DNS_LABEL = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?", re.ASCII)
LABEL_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?", re.ASCII)
HALF_AN_HOUR = 30 * 60 * 10**9
"""Nanoseconds."""

_TARGETS = {
    Profile.A: ("scalingConfiguration", "optimizerConfiguration"),
    Profile.B: ("homogeneousTarget", "heterogeneousTarget"),
    Profile.C: ("homogeneousTarget", "heterogeneousTarget"),
}


def refusals(children: Sequence[Desired], profile: Profile) -> list[str]:
    """Returns what kthena's webhooks refuse if the objects are created in this order."""
    found: list[str] = []
    there: set[tuple[str, str]] = set()
    for child in children:
        obj, kind = child.object, child.resource.kind
        name = obj["metadata"]["name"]
        rules = {
            "AutoscalingPolicy": lambda: _policy(obj["spec"], profile),  # noqa: B023  # called now
            "AutoscalingPolicyBinding": lambda: _binding(obj["spec"], profile, there),  # noqa: B023
            "ModelServing": lambda: _serving(obj, child.replica_bounds),  # noqa: B023
            "ModelServer": lambda: _server(obj["spec"]),  # noqa: B023
            "ModelRoute": lambda: _route(obj["spec"]),  # noqa: B023
        }
        found += [f"{kind} {name}: {fault}" for fault in rules[kind]()]
        there.add((kind, name))
    return found


def _policy(spec: Object, profile: Profile) -> Iterator[str]:
    field = "name" if profile is Profile.C else "metricName"
    names = [metric[field] for metric in spec.get("metrics", ())]
    if not names:
        yield "metrics: required"
    if len(names) != len(set(names)) or "" in names:
        yield "metrics: duplicate metric name"
    for metric in spec.get("metrics", ()):
        if not (parse_quantity(metric["targetValue"]) or Decimal(0)) > 0:
            yield "targetValue: must be greater than 0"
    behavior = spec.get("behavior", {})
    up = behavior.get("scaleUp", {})
    for place, fields in (
        (behavior.get("scaleDown", {}), ("period", "stabilizationWindow")),
        (up.get("stablePolicy", {}), ("period", "stabilizationWindow")),
        (up.get("panicPolicy", {}), ("period", "panicModeHold")),
    ):
        for name in fields:
            if name in place and not 0 <= (parse_duration(place[name]) or 0) <= HALF_AN_HOUR:
                yield f"{name}: must be between 0 and 30 minutes"
    if profile is Profile.C:
        yield from _targets(spec, profile)
        for target in _each_target(spec, profile):
            if not set(target.get("metricSources", ())) <= set(names):
                yield "metricSources: of a metric that is not there"


def _binding(spec: Object, profile: Profile, there: set[tuple[str, str]]) -> Iterator[str]:
    yield from _targets(spec, profile)
    if ("AutoscalingPolicy", spec["policyRef"]["name"]) not in there:
        yield "policyRef: not found"


def _targets(spec: Object, profile: Profile) -> Iterator[str]:
    if sum(field in spec for field in _TARGETS[profile]) != 1:
        yield "not exactly one target"
    for target in _each_target(spec, profile):
        if target["targetRef"].get("kind", "") not in ("", "ModelServing"):
            yield "targetRef.kind"
        if not target["targetRef"].get("name"):
            yield "targetRef.name: empty"


def _each_target(spec: Object, profile: Profile) -> list[Object]:
    one, several = _TARGETS[profile]
    single = [spec[one]] if one in spec else []
    return [entry["target"] for entry in [*single, *spec.get(several, {}).get("params", ())]]


def _serving(obj: Object, bounds: tuple[int, int] | None) -> Iterator[str]:
    spec, template = obj["spec"], obj["spec"]["template"]
    if spec["replicas"] < 0:
        yield "replicas: negative"
    # The same rules apply to what the autoscaler writes.
    most = max(spec["replicas"], *(bounds or (0,)))
    counts: dict[str, int] = {}
    for role in template["roles"]:
        name, replicas, followers = role["name"], role["replicas"], role["workerReplicas"]
        counts[name] = replicas
        whole = f"{obj['metadata']['name']}-{most}-{name}-{replicas}-{followers}"
        if len(whole) > 63 or not DNS_LABEL.fullmatch(whole):
            yield f"metadata.name: invalid name: {whole}"
        if len(name) > 63 or not DNS_LABEL.fullmatch(name):
            yield "roles.name"
        if replicas < 0 or followers < 0:
            yield "roles: negative"
        if followers > 0 and "workerTemplate" not in role:
            yield "workerTemplate: required"
        for part in ("entryTemplate", "workerTemplate"):
            pod = role.get(part, {}).get("spec", {})
            for container in [*pod.get("initContainers", ()), *pod.get("containers", ())]:
                if not container["image"].strip() or " " in container["image"]:
                    yield f"{part}: image"
    for name, least in template.get("gangPolicy", {}).get("minRoleReplicas", {}).items():
        if not 0 <= least <= counts.get(name, -1):
            yield "minRoleReplicas"


def _server(spec: Object) -> Iterator[str]:
    selector = spec["workloadSelector"]
    groups = selector.get("pdGroup")
    parts = [selector["matchLabels"]]
    if groups is not None:
        parts += [groups["prefillLabels"], groups["decodeLabels"]]
        if not groups["groupKey"]:
            yield "pdGroup.groupKey: empty"
    for labels in parts:
        if not labels:
            yield "labels: empty"
        for value in labels.values():
            if len(value) > 63 or not LABEL_VALUE.fullmatch(value):
                yield f"labels: {value}"


def _route(spec: Object) -> Iterator[str]:
    if not spec.get("modelName") and not spec.get("loraAdapters"):
        yield "neither modelName nor loraAdapters"
    if "" in spec.get("loraAdapters", ()):
        yield "loraAdapters: empty name"
    if not spec["rules"]:
        yield "rules: none"
    for rule in spec["rules"]:
        targets = rule["targetModels"]
        if not targets or not all(target["modelServerName"] for target in targets):
            yield "targetModels: empty"
        if not sum(target.get("weight", 100) for target in targets):
            yield "weight: the sum is 0"
        match = rule.get("modelMatch", {})
        for text in [match.get("uri", {}), *match.get("headers", {}).values()]:
            if "regex" in text and not _compiles(text["regex"]):
                yield "regex: does not compile"


def _compiles(pattern: str) -> bool:
    options = re2.Options()
    options.log_errors = False
    try:
        re2.compile(pattern, options)
    except re2.error:
        return False
    return True


def booster_refusals(obj: Object) -> list[str]:
    """Returns the faults of kthena's ModelBooster webhook for limits that no child shows."""
    found = []
    backends = obj["spec"].get("backends") or [obj["spec"]["backend"]]
    for backend in backends:
        if "scaleToZeroGracePeriod" in backend:
            length = parse_duration(backend["scaleToZeroGracePeriod"])
            if length is None:
                found.append("scaleToZeroGracePeriod: not a duration")
            elif length > HALF_AN_HOUR:
                found.append("scaleToZeroGracePeriod cannot exceed 1800 seconds")
            elif length < 0:
                found.append("scaleToZeroGracePeriod cannot be negative")
    total = sum(b.get("maxReplicas", b.get("replicas", 0)) for b in backends)
    if total > 1_000_000:
        found.append("sum of maxReplicas across all backends cannot exceed 1000000")
    return found
