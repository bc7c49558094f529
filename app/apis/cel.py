"""The CEL rules of the CRD: checks that involve more than one field.

Keep them few. The API server runs a rule again on every edit below its type. A rule that stored
objects may break would block unrelated edits, and its fault hides the faults of the webhook.
``app.validation`` has the same rules with the same path and message. So the API server, the webhook
and ``model-booster validate`` report the same faults.

Three properties of CEL shape the expressions. ``config`` is not visible to them. ``duration()`` of
a malformed string is an error, not false. Iterations need bounded lists (``maxItems``), or the
API server rejects the rule as too expensive.

Reading a field is expensive. For each read the API server (1.30 to 1.37) copies the schemas of all
properties of the object, once if the field is absent and twice if it is set. ``Backend`` has 21
properties. So rules read each field once where possible. Rules that exclude each other share one
entry (``only_if``). ``docs/benchmarks.md`` has the figures.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import groupby

from app.values.duration import DURATION_PATTERN
from app.values.fields import Cause
from app.values.meta import Object
from app.values.value import hashable_value


@hashable_value
class CelRule:
    """A rule with its message: one entry of ``x-kubernetes-validations``, or a part of one.

    Args:
        at: the type that has the rule, or a field of a type: ``Backend.scaleToZeroGracePeriod``.
        rule: the CEL expression, true for valid objects.
        message: the message for invalid objects.
        field: the field at fault, relative to the type.
        reason: the type of the fault.
        with_old: whether the expression uses ``oldSelf`` as an optional (``optionalOldSelf``).
        only_if: a CEL expression, true where the rule applies. Rules with one are a single entry;
            at most one of them may apply to an object.
    """

    at: str
    rule: str
    message: str
    field: str = ""
    reason: Cause = Cause.INVALID
    with_old: bool = False
    only_if: str = ""

    def schema(self) -> Object:
        """Returns the entry of ``x-kubernetes-validations``."""
        entry: Object = {"rule": self.rule, "message": self.message}
        if self.field:
            entry["fieldPath"] = f".{self.field}"
        if self.reason is not Cause.INVALID:
            entry["reason"] = str(self.reason)
        if self.with_old:
            entry["optionalOldSelf"] = True
        return entry


_IS_DURATION = f"self.matches('{DURATION_PATTERN}')"

R12 = CelRule(
    at="ModelBooster",
    # Not "required: [spec]": that would block every change of an object that kthena stored without
    # a spec, including the removal of finalizers, so its deletion could hang forever.
    rule="has(self.spec) || (oldSelf.hasValue() && !has(oldSelf.value().spec))",
    message="a ModelBooster needs a spec",
    field="spec",
    reason=Cause.REQUIRED,
    with_old=True,
)
R0 = CelRule(
    at="Spec",
    rule="has(self.backends) != has(self.backend)",
    message="exactly one of spec.backends and spec.backend must be set",
)
R1 = CelRule(
    at="Backend",
    rule="has(self.replicas) ? (!has(self.minReplicas) && !has(self.maxReplicas)) "
    ": (has(self.minReplicas) && has(self.maxReplicas))",
    message="either replicas, or both minReplicas and maxReplicas, must be set",
)
R2 = CelRule(
    at="Backend",
    # Without one of them, an integer that no other can break; the schema checks their range.
    rule=f"self.?minReplicas.orValue({-(2**63)}) <= self.?maxReplicas.orValue({2**63 - 1})",
    message="minReplicas cannot be greater than maxReplicas",
    field="minReplicas",
)
_WORKERS = "self.workers.map(w, w.?type.orValue('server'))"

R5 = CelRule(
    at="Backend",
    only_if="self.type in ['vLLM','SGLang','MindIE']",
    rule=f"{_WORKERS} == ['server']",
    message="backend types vLLM, SGLang and MindIE require exactly one worker, of type 'server'",
    field="workers",
)
R6 = CelRule(
    at="Backend",
    only_if="self.type == 'vLLMDisaggregated'",
    rule=f"{_WORKERS} in [['prefill','decode'],['decode','prefill']]",
    message="backend type vLLMDisaggregated requires exactly one 'prefill' and exactly one "
    "'decode' worker and no other worker type",
    field="workers",
)
R13 = CelRule(
    at="Backend",
    only_if=R6.only_if.replace("vLLM", "SGLang"),
    rule=R6.rule,
    message=R6.message.replace("vLLM", "SGLang"),
    field="workers",
)
R7 = CelRule(
    at="Backend",
    only_if="self.type == 'MindIEDisaggregated'",
    rule=f"{_WORKERS}.all(t, t in ['prefill','decode','controller','coordinator'])",
    message="backend type MindIEDisaggregated does not accept a worker of type 'server'",
    field="workers",
)
R8 = CelRule(
    at="Backend",  # not loraAdapters: Kubernetes 1.34 would say "array" instead of "object"
    rule="!has(self.loraAdapters) || [self.loraAdapters.map(x, x.name)].all(names, "
    "names.all(n, names.exists_one(m, m == n)))",
    message="lora name must be unique within the backend",
    field="loraAdapters",
)
R11 = CelRule(
    at="Backend.scaleToZeroGracePeriod",
    rule=_IS_DURATION,
    message="must be a duration such as 30s or 1m30s",
)
R3 = CelRule(
    at="Backend.scaleToZeroGracePeriod",
    rule=f"!{_IS_DURATION} || duration(self) >= duration('0s')",
    message="scaleToZeroGracePeriod cannot be negative",
)
R4 = CelRule(
    at="Backend.scaleToZeroGracePeriod",
    rule=f"!{_IS_DURATION} || duration(self) <= duration('1800s')",
    message="scaleToZeroGracePeriod cannot exceed 1800 seconds",
)
R9 = CelRule(
    at="AutoscalingPolicySpec",
    rule="!has(self.behavior) || !has(self.behavior.scaleUp) "
    "|| !has(self.behavior.scaleUp.panicPolicy)",
    message="panicPolicy is not supported by ModelBooster",
    field="behavior.scaleUp.panicPolicy",
    reason=Cause.FORBIDDEN,
)
R10 = CelRule(
    at="AutoscalingPolicySpec",
    rule="!has(self.behavior) || (has(self.behavior.scaleUp) "
    "? has(self.behavior.scaleUp.panicPolicy) : !has(self.behavior.scaleDown))",
    message="behavior is not supported by ModelBooster; create AutoscalingPolicy and "
    "AutoscalingPolicyBinding directly",
    field="behavior",
    reason=Cause.FORBIDDEN,
)

CEL_RULES: tuple[CelRule, ...] = (
    R12,  # without it, a spec would be optional
    R0,  # without it, one of the two forms would be ignored
    R1,  # without it, the number of replicas would be ambiguous
    R2,  # without it, no number of replicas would be valid
    R5,  # without it, unused workers would be ignored
    R6,  # without it, prefill could have no decode to send its results to
    R13,  # the same
    R7,
    R8,  # without it, the second adapter of a name would be unreachable
    R11,  # without it, a malformed duration would only fail later
    R3,
    R4,
    R9,  # without it, the field would be ignored: no child supports it
    R10,
)
"""All CEL rules. A new one needs a reason why a rule in the webhook is not enough."""


def rules_at(place: str) -> list[Object]:
    """Returns the entries of ``x-kubernetes-validations`` for a type, or a field of one."""
    entries: list[Object] = []
    rules = (rule for rule in CEL_RULES if rule.at == place)
    for is_case, group in groupby(rules, key=lambda rule: bool(rule.only_if)):
        held = list(group)
        entries += [_cases(held)] if is_case else [rule.schema() for rule in held]
    return entries


def _cases(rules: list[CelRule]) -> Object:
    """Returns one entry for rules that exclude each other."""
    *_, last = rules
    entry = {
        **last.schema(),
        "rule": _choice(((rule.only_if, rule.rule) for rule in rules), "true"),
        "messageExpression": _choice(
            ((rule.only_if, json.dumps(rule.message)) for rule in rules[:-1]),
            json.dumps(last.message),
        ),
    }
    del entry["message"]
    return entry


def _choice(cases: Iterable[tuple[str, str]], otherwise: str) -> str:
    """Returns a CEL expression: the value of the first case whose condition is true."""
    return "".join(f"{condition} ? {value} : " for condition, value in cases) + otherwise
