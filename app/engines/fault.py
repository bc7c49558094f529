"""Faults of an entry of ``config`` for an engine, as data; the caller words the message."""

from __future__ import annotations

from enum import StrEnum

from app.values.value import hashable_value


class Wrong(StrEnum):
    """What kind of fault it is."""

    UNKNOWN = "unknown"
    """No flag of the release has the name."""
    GONE = "gone"
    """An older release had it."""
    ABBREVIATION = "abbreviation"
    """It is the beginning of a flag's name; the engine may take it for that flag."""
    SPELLING = "spelling"
    """No flag is spelled like this."""
    OWNED = "owned"
    """We write the flag ourselves."""
    TWICE = "twice"
    """Another key says the same flag."""
    FORM = "form"
    """The value has not the form of one for this flag."""
    TYPE = "type"
    """The engine cannot read the value."""
    CHOICE = "choice"
    """The value is none of those that the engine accepts."""
    DEPRECATED = "deprecated"
    """The engine announces that the flag will go."""


@hashable_value
class Fault:
    """A fault of one key.

    Args:
        key: as written in ``config``.
        wrong: the kind of fault.
        detail: what is wrong and what to write, as part of a sentence.
        flag: the flag that is, or may be, meant; without dashes, empty if there is none.
        certain: whether the engine is sure to refuse it, or to do something else than it says.
            False where the release is unknown, or may differ from the nearest table.
    """

    key: str
    wrong: Wrong
    detail: str
    flag: str = ""
    certain: bool = True
