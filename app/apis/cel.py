"""The rules that the API server itself holds, in CEL: what no single field's type can say.

They stay few. A rule runs again at every edit below its place, so one that old objects may break
would block edits that have nothing to do with it; and its fault hides what the webhook would find.
Their twins in ``app.validation`` share path and message, so that the server, the webhook and
``model-booster validate`` say the same.

Three things about CEL in a schema shape the expressions: ``config`` cannot be seen at all;
``duration()`` of a malformed string is an error and not false; and what iterates needs bounded
lists (``maxItems``) or the server refuses the rule as too expensive.
"""

from __future__ import annotations

from dataclasses import dataclass

from app.values.duration import DURATION_PATTERN
from app.values.fields import Cause
from app.values.meta import Object


@dataclass(frozen=True, slots=True)
class CelRule:
    """One entry of ``x-kubernetes-validations``.

    Args:
        at: where it stands: a type of ``app.apis.modelbooster``, or a field of one.
        rule: the expression that must hold of what stands there.
        message: what the user reads if it does not.
        field: the field it complains about, below the place where it stands.
        reason: the kind of fault.
        with_old: whether the expression also looks at what was stored before, as an optional.
    """

    at: str
    rule: str
    message: str
    field: str = ""
    reason: Cause = Cause.INVALID
    with_old: bool = False

    def schema(self) -> Object:
        """Returns the entry as the CRD writes it."""
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
    # Not "required: [spec]": of an object that kthena stored without spec nothing could then be
    # changed, finalizers included, and its deletion might hang for ever.
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
    rule="!has(self.minReplicas) || !has(self.maxReplicas) || self.minReplicas <= self.maxReplicas",
    message="minReplicas cannot be greater than maxReplicas",
    field="minReplicas",
)
R5 = CelRule(
    at="Backend",
    rule="!(self.type in ['vLLM','SGLang','MindIE']) || (size(self.workers) == 1 "
    "&& (!has(self.workers[0].type) || self.workers[0].type == 'server'))",
    message="backend types vLLM, SGLang and MindIE require exactly one worker, of type 'server'",
    field="workers",
)
R6 = CelRule(
    at="Backend",
    rule="self.type != 'vLLMDisaggregated' || ("
    "self.workers.all(w, has(w.type) && w.type in ['prefill','decode']) "
    "&& self.workers.exists_one(w, has(w.type) && w.type == 'prefill') "
    "&& self.workers.exists_one(w, has(w.type) && w.type == 'decode'))",
    message="backend type vLLMDisaggregated requires exactly one 'prefill' and exactly one "
    "'decode' worker and no other worker type",
    field="workers",
)
R7 = CelRule(
    at="Backend",
    rule="self.type != 'MindIEDisaggregated' || self.workers.all(w, "
    "has(w.type) && w.type in ['prefill','decode','controller','coordinator'])",
    message="backend type MindIEDisaggregated does not accept a worker of type 'server'",
    field="workers",
)
R8 = CelRule(
    at="Backend",
    rule="!has(self.loraAdapters) || self.loraAdapters.all(x, "
    "self.loraAdapters.exists_one(y, y.name == x.name))",
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
    R12,  # else nothing would demand a spec
    R0,  # else one of the two forms would win silently
    R1,  # else nobody could say how many replicas are meant
    R2,  # else no number of replicas is right
    R5,  # else workers that the engine cannot use would be dropped silently
    R6,  # else a prefill engine has nobody to hand its work to
    R7,
    R8,  # else the second adapter of that name can never be asked for
    R11,  # else the time would be read as none, or as an error, far from the user
    R3,
    R4,
    R9,  # else it would be ignored: no child can carry it for a ModelBooster
    R10,
)
"""All of them; adding one needs a reason why the webhook is not enough."""


def rules_at(place: str) -> list[Object]:
    """Returns the entries of ``x-kubernetes-validations`` for a type, or a field of one."""
    return [entry.schema() for entry in CEL_RULES if entry.at == place]
