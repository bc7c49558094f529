"""What a check finds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from app.values.meta import Object


class Status(StrEnum):
    """The result of a check."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of a check, in one line, and what to do.

    Args:
        status: the result.
        message: one line.
        remedy: commands that fix it, in order; empty if there is nothing to fix, or no command
            can fix it.
        note: what to know about the remedy, or what to do instead of a command.
    """

    status: Status
    message: str
    remedy: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """A finding and the name of its check."""

    check: str
    finding: Finding

    def summary(self) -> Object:
        """Returns the result as JSON, in a stable format for other tools."""
        return {
            "check": self.check,
            "status": self.finding.status.value,
            "message": self.finding.message,
            "remedy": list(self.finding.remedy),
            "note": self.finding.note,
        }


def ok(message: str) -> Finding:
    """Returns a finding without a problem."""
    return Finding(Status.OK, message)


def warning(message: str, *remedy: str, note: str = "") -> Finding:
    """Returns a finding about something that works, but may surprise."""
    return Finding(Status.WARNING, message, remedy, note)


def failed(message: str, *remedy: str, note: str = "") -> Finding:
    """Returns a finding about something that does not work."""
    return Finding(Status.FAILED, message, remedy, note)


def skipped(message: str, *remedy: str, note: str = "") -> Finding:
    """Returns a finding about something that could not be checked."""
    return Finding(Status.SKIPPED, message, remedy, note)


def without_right(right: str) -> Finding:
    """Returns the finding of a check that needs a right that the user lacks."""
    return skipped(f"you may not {right}")
