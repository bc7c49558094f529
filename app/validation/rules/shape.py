"""The CEL rules of the CRD in Python, with the same paths and messages.

The API server evaluates the CEL rules before it calls the webhook. The command line needs these
functions, and so do the controller (an object may be older than the rule) and clusters with a
foreign CRD. Tests on a real API server compare them with the expressions in ``app.apis.cel``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from app.apis.autoscaling import AutoscalingPolicySpec
from app.apis.cel import R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10, R11, R12, R13, CelRule
from app.apis.modelbooster import Backend
from app.validation.inputs import RuleInputs
from app.values.duration import is_duration, parse_duration
from app.values.fields import Cause, FieldError, Path, forbidden, invalid, required

MAX_GRACE_PERIOD_NANOSECONDS = 1800 * 10**9

_ONE_SERVER = {"vLLM", "SGLang", "MindIE"}
_PREFILL_AND_DECODE = {"vLLMDisaggregated": R6, "SGLangDisaggregated": R13}
_MINDIE_PD_WORKERS = {"prefill", "decode", "controller", "coordinator"}


def spec_is_there(inputs: RuleInputs) -> Iterator[FieldError]:
    """A ModelBooster has a ``spec``.

    R12.
    """
    if inputs.booster.spec is None:
        yield _fault(R12, Path())


def one_form_of_backends(inputs: RuleInputs) -> Iterator[FieldError]:
    """Either ``backends`` or ``backend`` is set.

    R0.
    """
    spec = inputs.booster.spec
    if spec is not None and (spec.backends is None) == (spec.backend is None):
        yield _fault(R0, Path("spec"))


def replicas_or_bounds(inputs: RuleInputs) -> Iterator[FieldError]:
    """A backend sets ``replicas``, or both ``minReplicas`` and ``maxReplicas``.

    R1.
    """
    for path, backend in inputs.all_backends:
        bounds = (backend.min_replicas is not None) + (backend.max_replicas is not None)
        if bounds != (2 if backend.replicas is None else 0):
            yield _fault(R1, path)


def replica_bounds_in_order(inputs: RuleInputs) -> Iterator[FieldError]:
    """``minReplicas`` is at most ``maxReplicas``.

    R2, upstream's A3.
    """
    for path, backend in inputs.all_backends:
        least, most = backend.min_replicas, backend.max_replicas
        if least is not None and most is not None and least > most:
            yield _fault(R2, path, least)


def workers_fit_type(inputs: RuleInputs) -> Iterator[FieldError]:
    """A backend has the workers of its type, no others and none twice.

    R5, R6, R7, R13; upstream's C1 to C4.
    """
    for path, backend in inputs.all_backends:
        rule = _broken_by_workers(backend)
        if rule is not None:
            yield _fault(rule, path)


def _broken_by_workers(backend: Backend) -> CelRule | None:
    kinds = [worker.type or "server" for worker in backend.workers]
    if backend.type in _ONE_SERVER:
        return None if kinds == ["server"] else R5
    if backend.type in _PREFILL_AND_DECODE:
        fit = sorted(kinds) == ["decode", "prefill"]
        return None if fit else _PREFILL_AND_DECODE[backend.type]
    return None if _MINDIE_PD_WORKERS.issuperset(kinds) else R7


def lora_names_differ_within_backend(inputs: RuleInputs) -> Iterator[FieldError]:
    """No two adapters of a backend have the same name.

    R8, upstream's D2.
    """
    for path, backend in inputs.all_backends:
        adapters = backend.lora_adapters
        if adapters and len({adapter.name for adapter in adapters}) < len(adapters):
            yield _fault(R8, path)


def grace_period_in_range(inputs: RuleInputs) -> Iterator[FieldError]:
    """``scaleToZeroGracePeriod`` is a duration between 0 and 30 minutes.

    R11, R3, R4; upstream's A1 and A2.
    """
    for path, backend in inputs.all_backends:
        text = backend.scale_to_zero_grace_period
        rule = None if text is None else _broken_by_grace(text)
        if rule is not None:
            yield _fault(rule, path.child("scaleToZeroGracePeriod"), text)


def _broken_by_grace(text: str) -> CelRule | None:
    if not is_duration(text):
        return R11
    length = parse_duration(text)
    if length is None:  # more than Go's 64 bits hold
        return R3 if text.startswith("-") else R4
    if length < 0:
        return R3
    return R4 if length > MAX_GRACE_PERIOD_NANOSECONDS else None


def policies(inputs: RuleInputs) -> Iterator[tuple[Path, AutoscalingPolicySpec]]:
    """Yields path and spec of every autoscaling policy of the object."""
    if inputs.spec.autoscaling_policy is not None:
        yield Path("spec.autoscalingPolicy"), inputs.spec.autoscaling_policy
    for path, backend in inputs.all_backends:
        if backend.autoscaling_policy is not None:
            yield path.child("autoscalingPolicy"), backend.autoscaling_policy


def panic_policy_is_absent(inputs: RuleInputs) -> Iterator[FieldError]:
    """No policy has a ``panicPolicy``.

    R9.
    """
    for path, policy in policies(inputs):
        up = policy.behavior.scale_up if policy.behavior else None
        if up is not None and up.panic_policy is not None:
            yield _fault(R9, path)


def behavior_is_absent(inputs: RuleInputs) -> Iterator[FieldError]:
    """No policy has a ``behavior``; an empty ``behavior: {}`` is allowed.

    R10. A policy breaks either this rule or R9, not both.
    """
    for path, policy in policies(inputs):
        behavior = policy.behavior
        if behavior is None:
            continue
        up = behavior.scale_up
        if behavior.scale_down is not None if up is None else up.panic_policy is None:
            yield _fault(R10, path)


def _fault(rule: CelRule, at: Path, value: Any = None) -> FieldError:
    """Returns the fault that newer API servers report for a CEL rule.

    They print no value for an object; older ones print ``"object"``.
    """
    path = at.child(*rule.field.split(".")) if rule.field else at
    if rule.reason is Cause.REQUIRED:
        return required(path, rule.message)
    if rule.reason is Cause.FORBIDDEN:
        return forbidden(path, rule.message)
    if value is None:
        return FieldError(path, Cause.INVALID, f"Invalid value: {rule.message}")
    return invalid(path, value, rule.message)
