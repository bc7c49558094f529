"""The conditions of a ModelBooster, one function for each state.

S1 reconciling    S2 retrying         no result yet for this generation
S4 deploying      S5 active           S6 scaled to zero      S7 readiness unknown
S8, S9 failing    an error that retries do not fix
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from app.apis.reasons import Reason
from app.values.value import value
from controller.status.download_status import failure_text
from controller.status.readiness import BackendReport, Readiness

TRUE, FALSE, UNKNOWN = "True", "False", "Unknown"


@value
class ConditionValue:
    """Status, reason and message of a condition."""

    status: str
    reason: str
    message: str


@value
class ConditionSet:
    """The conditions after one pass.

    Args:
        initialized: whether every child is as it should be.
        active: whether every backend can serve; also the value of ``Ready``.
        failed: whether something needs an edit; also the value of ``Stalled`` while it is True.
        backends: status of each backend; None if it was not computed.
        traffic: shares of the requests, in a few words; None if they were not computed.
    """

    initialized: ConditionValue
    active: ConditionValue
    failed: ConditionValue
    backends: tuple[BackendReport, ...] | None = None
    traffic: str | None = None

    @property
    def has_result(self) -> bool:
        """Whether this generation has a result, good or bad."""
        return self.initialized.status != UNKNOWN


def reconciling() -> ConditionSet:
    """S1: the pass is still running after ``SLOW_SECONDS``."""
    statement = ConditionValue(UNKNOWN, Reason.RECONCILING, "this generation is being acted on")
    return ConditionSet(statement, statement, statement)


def retrying(message: str) -> ConditionSet:
    """S2: an error that retries usually fix."""
    again = ConditionValue(UNKNOWN, Reason.RETRYING, message)
    unknown = ConditionValue(UNKNOWN, Reason.STATUS_UNKNOWN, "not known before that is done")
    return ConditionSet(again, unknown, again)


def failing(
    reason: str, message: str, backends: tuple[BackendReport, ...] | None = None
) -> ConditionSet:
    """S8, S9: an error that stays until somebody acts."""
    return ConditionSet(
        ConditionValue(FALSE, reason, message),
        ConditionValue(FALSE, reason, message),
        ConditionValue(TRUE, reason, message),
        backends,
    )


def readiness_unknown(message: str, backends: tuple[BackendReport, ...]) -> ConditionSet:
    """S7: it was ready when its children could last be written."""
    return ConditionSet(
        _INITIALIZED, ConditionValue(UNKNOWN, Reason.STATUS_UNKNOWN, message), _NO_FAILURE, backends
    )


def deployed(backends: tuple[BackendReport, ...], notes: Sequence[str] = ()) -> ConditionSet:
    """S4 to S7: every child is as it should be; the backends decide whether the model serves.

    If some backends have a type that is not supported yet, the others are served and ``Failed``
    names the rest.

    Args:
        backends: status of each backend.
        notes: sentences to append to the message of ``Active``.
    """
    unserved = [f"{b.name} ({b.unserved_type})" for b in backends if b.unserved_type]
    if unserved:
        fault = f"backends of a type that is not served yet: {', '.join(unserved)}"
        reason = Reason.UNSUPPORTED_TYPE
        served = _active(tuple(b for b in backends if not b.unserved_type), ())
        message = _joined([fault, served.message, *notes])
        return ConditionSet(
            _INITIALIZED,
            ConditionValue(FALSE, reason, message),
            ConditionValue(TRUE, reason, fault),
            backends,
        )
    return ConditionSet(_INITIALIZED, _active(backends, notes), _NO_FAILURE, backends)


def with_held_rollout(conditions: ConditionSet, why: str) -> ConditionSet:
    """Replaces ``Initialized`` if a restart of pods is held until somebody allows it.

    Args:
        conditions: the conditions of the pass.
        why: which rollout is held, why, and how to allow it; ``""`` for none.
    """
    if not why or conditions.initialized.status != TRUE:
        return conditions
    return replace(conditions, initialized=ConditionValue(TRUE, Reason.ROLLOUT_HELD, why))


def with_warmup(
    conditions: ConditionSet, reason: Reason, why: str, *, is_new: bool
) -> ConditionSet:
    """Replaces conditions while pods wait for the warm-up of a cache.

    Args:
        conditions: the conditions of the pass.
        reason: ``CACHE_WARMUP`` or ``CACHE_WARMUP_FAILED``.
        why: what waits, and for what; ``""`` if nothing does.
        is_new: whether a ModelServing is not created yet. Else pods keep the model that they have.
    """
    if not why or conditions.initialized.status != TRUE:
        return conditions
    waiting = ConditionValue(TRUE, reason, why)
    active = conditions.active
    if is_new and active.status == FALSE:
        active = replace(active, reason=reason, message=f"{active.message}; {why}")
    return replace(conditions, initialized=waiting, active=active)


def _active(backends: tuple[BackendReport, ...], notes: Sequence[str]) -> ConditionValue:
    def names(ready: Readiness) -> list[str]:
        return [b.name for b in backends if b.ready is ready]

    def active(status: str, reason: Reason, message: str) -> ConditionValue:
        return ConditionValue(status, reason, _joined([message, *notes]))

    if not_ready := names(Readiness.NO):
        count = len(names(Readiness.YES))
        rest = f"not ready: {', '.join(not_ready)}"
        failed = [text for b in backends if (text := failure_text(b.name, b.download))]
        message = _joined([f"{count}/{len(backends)} backends ready; {rest}", *failed])
        return active(FALSE, Reason.PROCESSING, message)
    if unknown := names(Readiness.UNKNOWN):
        message = f"nothing is reported about: {', '.join(unknown)}"
        return active(UNKNOWN, Reason.STATUS_UNKNOWN, message)
    if all(b.scaled_to_zero for b in backends):
        return active(TRUE, Reason.SCALED_TO_ZERO, "every backend has 0 replicas")
    return active(TRUE, Reason.AVAILABLE, "ModelBooster is ready")


_INITIALIZED = ConditionValue(TRUE, Reason.CREATING, "ModelBooster initialized")
_NO_FAILURE = ConditionValue(FALSE, Reason.NO_FAILURE, "")


def _joined(parts: Iterable[str]) -> str:
    return "; ".join(parts)
