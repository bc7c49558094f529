"""Classifies the errors of a pass, for the conditions and for when to retry."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

from app.apis.kinds import MODEL_SERVING
from app.apis.reasons import Reason
from app.errors import ApiError, Conflict, Forbidden, Invalid, NotFound, TerminalError
from app.kube import is_unknown_kind
from app.values.value import hashable_value
from controller.plan.actions import ChildRef

KIND_UNAVAILABLE = "KindUnavailable: "
"""Prefix of the message about a child whose kind the API server does not serve."""

MAX_SERVER_MESSAGE = 1024
"""Longest message of the API server that is copied into a condition, in characters."""


class Severity(IntEnum):
    """How severe an error is. The most severe error of a pass decides its result."""

    STALE = 0
    """An object has changed since it was read. Retry at once and report nothing."""
    TRANSIENT = 1
    """The error usually goes away by itself."""
    REJECTED = 2
    """The API server rejected a child and would reject it again."""
    TERMINAL = 3
    """Retrying cannot help until somebody changes something."""
    NAMESPACE_TERMINATING = 4
    """The namespace is gone or being deleted. There is nothing left to do."""


@hashable_value
class Failure:
    """A child that could not be written.

    Args:
        child: the child.
        error: the error of the write, or the reason why it was not tried.
    """

    child: ChildRef
    error: Exception

    @property
    def severity(self) -> Severity:
        """How severe the error is."""
        return severity_of(self.error)

    @property
    def is_of_unknown_kind(self) -> bool:
        """Whether the API server does not serve the kind of the child."""
        error = self.error
        is_unknown = isinstance(error, NotFound) and is_unknown_kind(error)
        return is_unknown and severity_of(error) is Severity.REJECTED

    @property
    def reason(self) -> str:
        """Reason for the conditions, CamelCase."""
        error = self.error
        return error.reason if isinstance(error, TerminalError) else Reason.APPLY_FAILED

    @property
    def message(self) -> str:
        """Message for the conditions: names the child and says what is wrong with it."""
        error = self.error
        if isinstance(error, TerminalError):
            return error.message
        if self.is_of_unknown_kind:
            return (
                f"{KIND_UNAVAILABLE}{self.child}: the API server does not serve this kind;"
                " install the CustomResourceDefinition that kthena has for it"
            )
        text = error.message if isinstance(error, ApiError) else str(error)
        if len(text) > MAX_SERVER_MESSAGE:
            text = text[: MAX_SERVER_MESSAGE - 3] + "..."
        return f"{_prefix_of(error)}{self.child}: {text}"


def worst(failures: Sequence[Failure]) -> Failure:
    """Returns the most severe failure; the first one if there are several."""
    return max(failures, key=lambda failure: failure.severity)


def message_of(failures: Sequence[Failure]) -> str:
    """Returns one message for all failures that are as severe as the worst."""
    severity = worst(failures).severity
    leading = [failure for failure in failures if failure.severity == severity]
    kinds = dict.fromkeys(f.child.kind for f in leading if f.is_of_unknown_kind)
    if MODEL_SERVING.kind not in kinds:
        return "; ".join(dict.fromkeys(failure.message for failure in leading))
    missing = (
        f"{KIND_UNAVAILABLE}kthena is not installed: the API server does not serve"
        f" {', '.join(sorted(kinds))}; install kthena, and this goes on within 15 s"
    )
    others = [failure.message for failure in leading if not failure.is_of_unknown_kind]
    return "; ".join(dict.fromkeys([missing, *others]))


def severity_of(error: Exception) -> Severity:
    """Returns how severe an error is."""
    match error:
        case TerminalError():
            return Severity.TERMINAL
        case Forbidden() | NotFound() if is_namespace_terminating(error):
            return Severity.NAMESPACE_TERMINATING
        case NotFound():
            return Severity.REJECTED if is_unknown_kind(error) else Severity.STALE
        case Invalid() if _has_another_uid(error):
            return Severity.STALE
        case Invalid() | Forbidden():
            return Severity.REJECTED
        case Conflict():
            return Severity.STALE
    return Severity.TRANSIENT


def is_namespace_terminating(error: ApiError) -> bool:
    """Whether the namespace is gone or being deleted."""
    if isinstance(error, NotFound):
        return error.details.get("kind") == "namespaces"
    return any(cause.get("reason") == "NamespaceTerminating" for cause in _causes(error))


def _has_another_uid(error: Invalid) -> bool:
    """Whether the object was deleted and created again since we read it.

    The API server reports that as a change of the immutable field ``metadata.uid``.
    """
    return any(cause.get("field") == "metadata.uid" for cause in _causes(error))


def _prefix_of(error: Exception) -> str:
    match error:
        case Forbidden() if "exceeded quota" in error.message:
            return "QuotaExceeded: "
        case Forbidden():
            return "Forbidden: "
        case Invalid(status=422 | 500):
            return "Rejected: "
    return ""


def _causes(error: ApiError) -> list[dict[str, object]]:
    causes = error.details.get("causes")
    return [c for c in causes if isinstance(c, dict)] if isinstance(causes, list) else []
