"""The errors that this program raises.

    OperatorError
    ├─ ApiError            the API server answered with an error; the pass is retried
    │  ├─ NotFound 404   ├─ Conflict 409   ├─ Gone 410   ├─ Forbidden 403
    │  └─ Invalid        400, 422, or 500 for a field that the child's schema lacks
    ├─ Unreachable         no answer; the pass is retried
    │  ├─ Garbled          an answer that cannot be parsed; read the object again
    │  └─ WatchEnded       the server ended a watch without sending an event
    ├─ TerminalError       a retry cannot succeed until something changes
    │  ├─ InvalidSpec      the ModelBooster breaks a rule
    │  ├─ ChildConflict    the name of a child belongs to an object that is not ours
    │  ├─ ChildRefused     the API server rejects the content of a child
    │  └─ ConflictingController  another controller reverts our writes
    ├─ LeadershipLost      another replica leads; the process exits
    └─ UsageError          invalid arguments, settings or environment

``app.kube`` translates the errors of libraries into these, so that no other package needs aiohttp.
Catch an error only where the code can handle it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from app.apis.reasons import Reason

if TYPE_CHECKING:
    from app.values.fields import FieldError


class OperatorError(Exception):
    """The base class of all errors of this program."""


class ApiError(OperatorError):
    """The API server answered with an error.

    Args:
        status: HTTP status code.
        reason: the Status object's ``reason``, ``""`` if it has none.
        message: the Status object's ``message``, or the start of a body that is not a Status.
        retry_after_seconds: value of the header ``Retry-After``, None if absent.
        details: the Status object's ``details``, ``{}`` if it has none.
    """

    def __init__(
        self,
        status: int,
        reason: str,
        message: str,
        *,
        retry_after_seconds: float | None = None,
        details: dict[str, object] | None = None,
    ) -> None:
        super().__init__(f"{status} {reason}: {message}" if reason else f"{status}: {message}")
        self.status = status
        self.reason = reason
        self.message = message
        self.retry_after_seconds = retry_after_seconds
        self.details = details or {}


class NotFound(ApiError):
    """404: the object, or its kind, does not exist."""


class Conflict(ApiError):
    """409: the object changed after it was read, or already exists."""


class Gone(ApiError):
    """410: the resource version is too old; list again."""


class Forbidden(ApiError):
    """403: not allowed, or not now (quota exceeded, namespace terminating)."""


class Invalid(ApiError):
    """400, 422, or 500 "failed to create typed patch object": the same request always fails."""


class Unreachable(OperatorError):
    """No answer: connection refused or reset, timeout, untrusted certificate, incomplete body."""


class ServerDown(Unreachable):
    """The connection was refused: nothing listens there, and nothing was sent."""


class Garbled(Unreachable):
    """The answer cannot be parsed: HTML, truncated JSON, or another kind of object."""


class WatchEnded(Unreachable):
    """The server accepted a watch and closed it immediately, without an event."""


class TerminalError(OperatorError):
    """A retry cannot succeed until something changes.

    Args:
        reason: ``reason`` of the conditions, mostly an ``app.apis.reasons.Reason``.
        message: ``message`` of the conditions.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason
        self.message = message


class InvalidSpec(TerminalError):
    """The ModelBooster breaks at least one rule.

    Args:
        faults: every fault found, in the order in which they are reported.
        reason: ``ValidationFailed``, or ``UnsupportedBackendType``.
    """

    def __init__(
        self, faults: Sequence[FieldError], reason: str = Reason.VALIDATION_FAILED
    ) -> None:
        super().__init__(reason, "; ".join(str(fault) for fault in faults))
        self.faults = tuple(faults)


class ChildConflict(TerminalError):
    """The name of a child belongs to an object that is not ours.

    Args:
        kind: kind of the child, for example ``ModelRoute``.
        name: name of the child.
        owner: owner of the object, for example ``ModelBooster "x"``; ``""`` if it has none.
    """

    def __init__(self, kind: str, name: str, owner: str = "") -> None:
        held = f"belongs to {owner}" if owner else "was not made for this ModelBooster"
        super().__init__(
            Reason.NAME_CONFLICT,
            f'{kind} "{name}" exists and {held}; it is left alone: delete or rename one of the two',
        )


class ChildRefused(TerminalError):
    """The API server rejects a child.

    Args:
        message: the message of the API server.
    """

    def __init__(self, message: str) -> None:
        super().__init__(Reason.APPLY_FAILED, message)


class ConflictingController(TerminalError):
    """Another controller reverts our writes, so we stopped writing.

    Args:
        what: the object that it changes: ``ModelServing "m-b1"``, or ``the status``.
        who: its field manager, with operation and time; ``""`` if unknown.
    """

    def __init__(self, what: str, who: str = "") -> None:
        super().__init__(
            Reason.CONFLICTING,
            f"{what} is changed back by {who or 'another client'} as often as it is written, and "
            "is no longer written. If that is kthena's own ModelBooster controller, turn it off: "
            'workload.controllerManager.controllers: "*,-modelbooster" in the values of kthena\'s '
            "chart (--controllers=*,-modelbooster of kthena-controller-manager). Writing goes on "
            "when the other controller has stopped",
        )


class LeadershipLost(OperatorError):
    """Another replica leads, or we did not renew the lease in time; the process must exit."""


class UsageError(OperatorError):
    """The arguments, settings or environment are invalid; the message says how to fix them."""
