"""What one pass found, as the conditions will say it: the states of a ModelBooster.

S1 reconciling    S2 retrying         nothing is known yet for this generation
S4 deploying      S5 active           S6 scaled to zero      S7 readiness not known
S8, S9 stuck      refused for a reason that waiting does not mend
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from controller.status.readiness import BackendReport, Ready

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
class Statement:
    """What a condition says, apart from its type and time."""

    status: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Finding:
    """What one pass found; ``backends`` is None if they could not be looked at."""

    initialized: Statement
    active: Statement
    failed: Statement
    backends: tuple[BackendReport, ...] | None = None

    @property
    def is_decided(self) -> bool:
        """Whether this generation has been acted on, with whatever result."""
        return self.initialized.status != UNKNOWN


def reconciling() -> Finding:
    """S1: at work for longer than a moment."""
    statement = Statement(UNKNOWN, Reason.RECONCILING, "this generation is being acted on")
    return Finding(statement, statement, statement)


def retrying(message: str) -> Finding:
    """S2: something went wrong that mostly mends itself."""
    again = Statement(UNKNOWN, Reason.RETRYING, message)
    unknown = Statement(UNKNOWN, Reason.STATUS_UNKNOWN, "not known before that is done")
    return Finding(again, unknown, again)


def stuck(reason: str, message: str, backends: tuple[BackendReport, ...] | None = None) -> Finding:
    """S8, S9: what is wrong stays wrong until somebody acts."""
    return Finding(
        Statement(FALSE, reason, message),
        Statement(FALSE, reason, message),
        Statement(TRUE, reason, message),
        backends,
    )


def unclear(message: str, backends: tuple[BackendReport, ...]) -> Finding:
    """S7: it was ready when it could last be looked at."""
    return Finding(
        _INITIALIZED, Statement(UNKNOWN, Reason.STATUS_UNKNOWN, message), _NO_FAILURE, backends
    )


def deployed(backends: tuple[BackendReport, ...], notes: Sequence[str] = ()) -> Finding:
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
        return Finding(
            _INITIALIZED,
            Statement(FALSE, reason, message),
            Statement(TRUE, reason, fault),
            backends,
        )
    return Finding(_INITIALIZED, _active(backends, notes), _NO_FAILURE, backends)


def held(finding: Finding, why: str) -> Finding:
    """Adds to a finding that pods would restart, and are not restarted before somebody says so.

    Args:
        finding: what was found.
        why: what is held back, why, and how to let it go; ``""`` if nothing is.
    """
    if not why or finding.initialized.status != TRUE:
        return finding
    return replace(finding, initialized=Statement(TRUE, Reason.ROLLOUT_HELD, why))


def _active(backends: tuple[BackendReport, ...], notes: Sequence[str]) -> Statement:
    def named(ready: Ready) -> list[str]:
        return [b.name for b in backends if b.ready is ready]

    def said(status: str, reason: Reason, message: str) -> Statement:
        return Statement(status, reason, _sentences([message, *notes]))

    if not_ready := named(Ready.NO):
        count = len(named(Ready.YES))
        rest = f"not ready: {', '.join(not_ready)}"
        return said(FALSE, Reason.PROCESSING, f"{count}/{len(backends)} backends ready; {rest}")
    if unknown := named(Ready.UNKNOWN):
        message = f"nothing is reported about: {', '.join(unknown)}"
        return said(UNKNOWN, Reason.STATUS_UNKNOWN, message)
    if all(b.scaled_to_zero for b in backends):
        return said(TRUE, Reason.SCALED_TO_ZERO, "every backend has 0 replicas")
    return said(TRUE, Reason.AVAILABLE, "ModelBooster is ready")


_INITIALIZED = Statement(TRUE, Reason.CREATING, "ModelBooster initialized")
_NO_FAILURE = Statement(FALSE, Reason.NO_FAILURE, "")


def _sentences(parts: Iterable[str]) -> str:
    return "; ".join(parts)
