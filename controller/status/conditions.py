"""What one pass found, as the conditions will say it: the states of a ModelBooster.

S1 reconciling    S2 retrying         nothing is known yet for this generation
S4 deploying      S5 active           S6 scaled to zero      S7 readiness not known
S8, S9 stuck      refused for a reason that waiting does not mend
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from controller.status.readiness import BackendReport, Readiness

TRUE, FALSE, UNKNOWN = "True", "False", "Unknown"


class Reason(StrEnum):
    """Every reason that a condition can have; part of the API."""

    RECONCILING = "Reconciling"
    RETRYING = "RetryingTransientError"
    STATUS_UNKNOWN = "StatusUnknown"
    CREATING = "ModelCreating"
    PROCESSING = "ModelProcessing"
    AVAILABLE = "ModelAvailable"
    SCALED_TO_ZERO = "ScaledToZero"
    NO_FAILURE = "NoFailure"
    VALIDATION_FAILED = "ValidationFailed"
    UNSUPPORTED_TYPE = "UnsupportedBackendType"
    NAME_CONFLICT = "ChildNameConflict"
    APPLY_FAILED = "ChildApplyFailed"
    ROLLOUT_HELD = "RolloutHeld"
    CONFLICTING = "ConflictingController"


@dataclass(frozen=True, slots=True)
class ConditionValue:
    """What a condition says, apart from its type and time."""

    status: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class ConditionSet:
    """What one pass found; ``backends`` is None if they could not be looked at."""

    initialized: ConditionValue
    active: ConditionValue
    failed: ConditionValue
    backends: tuple[BackendReport, ...] | None = None

    @property
    def is_decided(self) -> bool:
        """Whether this generation has been acted on, with whatever result."""
        return self.initialized.status != UNKNOWN


def reconciling() -> ConditionSet:
    """S1: at work for longer than a moment."""
    statement = ConditionValue(UNKNOWN, Reason.RECONCILING, "this generation is being acted on")
    return ConditionSet(statement, statement, statement)


def retrying(message: str) -> ConditionSet:
    """S2: something went wrong that mostly mends itself."""
    again = ConditionValue(UNKNOWN, Reason.RETRYING, message)
    unknown = ConditionValue(UNKNOWN, Reason.STATUS_UNKNOWN, "not known before that is done")
    return ConditionSet(again, unknown, again)


def failed(
    reason: str, message: str, backends: tuple[BackendReport, ...] | None = None
) -> ConditionSet:
    """S8, S9: what is wrong stays wrong until somebody acts."""
    return ConditionSet(
        ConditionValue(FALSE, reason, message),
        ConditionValue(FALSE, reason, message),
        ConditionValue(TRUE, reason, message),
        backends,
    )


def readiness_unknown(message: str, backends: tuple[BackendReport, ...]) -> ConditionSet:
    """S7: it was ready when it could last be looked at."""
    return ConditionSet(
        _INITIALIZED, ConditionValue(UNKNOWN, Reason.STATUS_UNKNOWN, message), _NO_FAILURE, backends
    )


def deployed(backends: tuple[BackendReport, ...], notes: Sequence[str] = ()) -> ConditionSet:
    """S4 to S7: every child is as it should be; whether the model serves is up to the pods.

    Backends of a type that is not served yet make a state of their own: the others are served,
    and ``Failed`` names the rest.

    Args:
        backends: what is known of each.
        notes: sentences that go with the message of ``Active``.
    """
    unserved = [f"{b.name} ({b.unserved_type})" for b in backends if b.unserved_type]
    if unserved:
        fault = f"backends of a type that is not served yet: {', '.join(unserved)}"
        reason = Reason.UNSUPPORTED_TYPE
        served = _active(tuple(b for b in backends if not b.unserved_type), ())
        message = _sentences([fault, served.message, *notes])
        return ConditionSet(
            _INITIALIZED,
            ConditionValue(FALSE, reason, message),
            ConditionValue(TRUE, reason, fault),
            backends,
        )
    return ConditionSet(_INITIALIZED, _active(backends, notes), _NO_FAILURE, backends)


def with_held_rollout(finding: ConditionSet, why: str) -> ConditionSet:
    """Adds to a finding that pods would restart, and are not restarted before somebody says so.

    Args:
        finding: what was found.
        why: what is held back, why, and how to let it go; ``""`` if nothing is.
    """
    if not why or finding.initialized.status != TRUE:
        return finding
    return replace(finding, initialized=ConditionValue(TRUE, Reason.ROLLOUT_HELD, why))


def _active(backends: tuple[BackendReport, ...], notes: Sequence[str]) -> ConditionValue:
    def named(ready: Readiness) -> list[str]:
        return [b.name for b in backends if b.ready is ready]

    def said(status: str, reason: Reason, message: str) -> ConditionValue:
        return ConditionValue(status, reason, _sentences([message, *notes]))

    if not_ready := named(Readiness.NO):
        count = len(named(Readiness.YES))
        rest = f"not ready: {', '.join(not_ready)}"
        return said(FALSE, Reason.PROCESSING, f"{count}/{len(backends)} backends ready; {rest}")
    if unknown := named(Readiness.UNKNOWN):
        message = f"nothing is reported about: {', '.join(unknown)}"
        return said(UNKNOWN, Reason.STATUS_UNKNOWN, message)
    if all(b.scaled_to_zero for b in backends):
        return said(TRUE, Reason.SCALED_TO_ZERO, "every backend has 0 replicas")
    return said(TRUE, Reason.AVAILABLE, "ModelBooster is ready")


_INITIALIZED = ConditionValue(TRUE, Reason.CREATING, "ModelBooster initialized")
_NO_FAILURE = ConditionValue(FALSE, Reason.NO_FAILURE, "")


def _sentences(parts: Iterable[str]) -> str:
    return "; ".join(parts)
