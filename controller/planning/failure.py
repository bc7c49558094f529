"""What the errors of a pass mean: for the conditions, and for when to try again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from app.apis.kinds import MODEL_SERVING
from app.errors import ApiError, Conflict, Forbidden, Invalid, NotFound, TerminalError
from app.kube import is_unknown_kind
from controller.status.conditions import Reason

KIND_UNAVAILABLE = "KindUnavailable: "
"""Begins what is said of a child whose kind the API server does not serve."""

MAX_SENTENCE = 1024
"""Longest sentence of the server's that is passed on."""


class Weight(IntEnum):
    """How much an error matters; of several the weightiest decides."""

    STALE = 0
    """Something changed meanwhile: look again at once, and say nothing."""
    TRANSIENT = 1
    """Mostly mends itself."""
    REFUSED = 2
    """The server does not take it, and would not take it again."""
    TERMINAL = 3
    """Nothing can be done before somebody acts."""
    MOOT = 4
    """The namespace is on its way out: nothing is to be done any more."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One thing that went wrong.

    Args:
        what: what it was done to: ``ModelRoute "m"``; ``""`` for the whole.
        error: what came of it.
    """

    what: str
    error: Exception

    @property
    def weight(self) -> Weight:
        """How much it matters."""
        return weight_of(self.error)

    @property
    def is_of_unknown_kind(self) -> bool:
        """Whether a child could not be written because the API server does not serve its kind."""
        error = self.error
        is_unknown = isinstance(error, NotFound) and is_unknown_kind(error)
        return bool(self.what) and is_unknown and weight_of(error) is Weight.REFUSED

    @property
    def reason(self) -> str:
        """The conditions' reason, should it come to that."""
        error = self.error
        return error.reason if isinstance(error, TerminalError) else Reason.APPLY_FAILED

    @property
    def message(self) -> str:
        """A sentence that names the object at fault and says what is wrong."""
        error = self.error
        if isinstance(error, TerminalError):
            return error.message
        if self.is_of_unknown_kind:
            return (
                f"{KIND_UNAVAILABLE}{self.what}: the API server does not serve this kind;"
                " install the CustomResourceDefinition that kthena has for it"
            )
        said = error.message if isinstance(error, ApiError) else str(error)
        sentence = said if len(said) <= MAX_SENTENCE else said[: MAX_SENTENCE - 3] + "..."
        return f"{_prefix_of(error)}{self.what}: {sentence}" if self.what else sentence


def worst(failures: Sequence[Failure]) -> Failure:
    """Returns the failure that decides how the pass ends, the first of several that weigh most."""
    return max(failures, key=lambda failure: failure.weight)


def message_of(failures: Sequence[Failure]) -> str:
    """Returns one message for all failures that weigh as much as the worst."""
    weight = worst(failures).weight
    leading = [failure for failure in failures if failure.weight == weight]
    kinds = dict.fromkeys(f.what.partition(" ")[0] for f in leading if f.is_of_unknown_kind)
    if MODEL_SERVING.kind not in kinds:
        return "; ".join(dict.fromkeys(failure.message for failure in leading))
    missing = (
        f"{KIND_UNAVAILABLE}kthena is not installed: the API server does not serve"
        f" {', '.join(sorted(kinds))}; install kthena, and this goes on within 15 s"
    )
    others = [failure.message for failure in leading if not failure.is_of_unknown_kind]
    return "; ".join(dict.fromkeys([missing, *others]))


def weight_of(error: Exception) -> Weight:
    """Returns how much an error matters."""
    match error:
        case TerminalError():
            return Weight.TERMINAL
        case Forbidden() | NotFound() if is_namespace_going(error):
            return Weight.MOOT
        case NotFound():
            return Weight.REFUSED if is_unknown_kind(error) else Weight.STALE
        case Invalid() if _is_about_another(error):
            return Weight.STALE
        case Invalid() | Forbidden():
            return Weight.REFUSED
        case Conflict():
            return Weight.STALE
    return Weight.TRANSIENT


def is_namespace_going(error: ApiError) -> bool:
    """Whether the namespace is gone or being deleted."""
    if isinstance(error, NotFound):
        return error.details.get("kind") == "namespaces"
    return any(cause.get("reason") == "NamespaceTerminating" for cause in _causes(error))


def _is_about_another(error: Invalid) -> bool:
    """Whether the name belongs to another object by now than the one that we saw.

    The server words that as a change of an immutable field, the uid.
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
