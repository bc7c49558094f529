"""Every error that this program raises on purpose.

    OperatorError
    ├─ ApiError            the API server answered with an error; the pass is retried
    │  ├─ NotFound 404   ├─ Conflict 409   ├─ Gone 410   ├─ Forbidden 403
    │  └─ Invalid        400, 422, or 500 for a field that the child's schema lacks
    ├─ Unreachable         no answer at all; the pass is retried
    │  ├─ Garbled          an answer that makes no sense; what it was about must be read anew
    │  └─ WatchEnded       the server ended a watch as soon as it had begun
    ├─ TerminalError       trying again cannot help until something changes
    │  ├─ InvalidSpec      the ModelBooster breaks a rule
    │  ├─ ChildConflict    a child's name is taken by an object that is not ours
    │  ├─ ChildRefused     the API server refuses a child for what it holds
    │  └─ ConflictingController  another controller changes back what we write
    ├─ LeadershipLost      another replica leads; the process ends
    └─ UsageError          the program was called or set up in a way that cannot work

``app.kube`` translates what libraries raise into these, so that no other file knows aiohttp.
Catch one only where something can be done about it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from app.apis.reasons import Reason

if TYPE_CHECKING:
    from app.values.fields import FieldError


class OperatorError(Exception):
    """The root of the tree."""


class ApiError(OperatorError):
    """The API server answered, and the answer is an error.

    Args:
        status: HTTP status code.
        reason: the Status object's ``reason``, ``""`` if there is none.
        message: the Status object's ``message``, or the start of a body that is no Status.
        retry_after_seconds: what the header ``Retry-After`` asks for, if it was sent.
        details: the Status object's ``details``, ``{}`` if there are none.
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
    """409: the object changed since it was read, or exists already."""


class Gone(ApiError):
    """410: the resource version is too old to go on from; list anew."""


class Forbidden(ApiError):
    """403: not allowed, or not now (quota, a namespace being deleted)."""


class Invalid(ApiError):
    """400, 422, or 500 "failed to create typed patch object": sending it again changes nothing."""


class Unreachable(OperatorError):
    """No answer: refused, reset, timed out, not trusted, or cut in the middle."""


class Garbled(Unreachable):
    """Bytes came, but no answer: HTML, half a document, another kind of object."""


class WatchEnded(Unreachable):
    """The server accepted a watch and ended it at once, without an event."""


class TerminalError(OperatorError):
    """Trying again cannot help until something changes.

    Args:
        reason: CamelCase word for the conditions' ``reason``.
        message: sentence for the conditions' ``message``.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason
        self.message = message


class InvalidSpec(TerminalError):
    """The ModelBooster breaks at least one rule.

    Args:
        faults: every fault found, in the order in which a user wants to read about them.
        reason: ``ValidationFailed``, or ``UnsupportedBackendType``.
    """

    def __init__(
        self, faults: Sequence[FieldError], reason: str = Reason.VALIDATION_FAILED
    ) -> None:
        super().__init__(reason, "; ".join(str(fault) for fault in faults))
        self.faults = tuple(faults)


class ChildConflict(TerminalError):
    """A child's name is taken by an object that is not ours.

    Args:
        kind: kind of the child, ``ModelRoute`` for instance.
        name: the contested name.
        owner: who holds it, ``ModelBooster "x"`` for instance; ``""`` if nobody does.
    """

    def __init__(self, kind: str, name: str, owner: str = "") -> None:
        held = f"belongs to {owner}" if owner else "was not made for this ModelBooster"
        super().__init__(
            Reason.NAME_CONFLICT,
            f'{kind} "{name}" exists and {held}; it is left alone: delete or rename one of the two',
        )


class ChildRefused(TerminalError):
    """The API server refuses a child; its own sentence is the message."""

    def __init__(self, message: str) -> None:
        super().__init__(Reason.APPLY_FAILED, message)


class ConflictingController(TerminalError):
    """Another controller changes back what we write, so we have stopped writing it.

    Args:
        what: what it changes: ``ModelServing "m-b1"``, or ``the status``.
        who: the field manager, with operation and time; ``""`` if the server does not tell.
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
    """Another replica leads, or we could not renew in time; the process must end."""


class UsageError(OperatorError):
    """The program was called, or set up, in a way that cannot work; the text says the way out."""
