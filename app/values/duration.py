"""Durations as Go writes them: ``90s``, ``1m30s``, ``1h0m0s``.

The grammar and the printed form are those of Go's ``time.ParseDuration`` and ``Duration.String``
(https://pkg.go.dev/time), because kthena parses and rewrites child objects with them.
"""

from __future__ import annotations

import re
from decimal import Decimal

DURATION_PATTERN = r"^[-+]?(0|(([0-9]+[.]?[0-9]*|[.][0-9]+)(ns|us|µs|μs|ms|s|m|h))+)$"
"""Pattern of a duration, also used by rule R11 of the CRD."""

_NANOSECONDS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "μs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
# Use fullmatch: "$" also matches before a trailing newline in Python.
_WHOLE = re.compile(DURATION_PATTERN[1:-1], re.ASCII)
_PART = r"([0-9]+[.]?[0-9]*|[.][0-9]+)(ns|us|µs|μs|ms|s|m|h)"


def is_duration(text: str) -> bool:
    """Whether a text is a duration, of any length."""
    return _WHOLE.fullmatch(text) is not None


def parse_duration(text: str) -> int | None:
    """Returns a duration in nanoseconds, or None if ``text`` is not a duration.

    Fractions of a nanosecond are truncated, as in Go. Values beyond 64 bits return None.
    """
    if not is_duration(text):
        return None
    total = sum(
        int(Decimal(number) * _NANOSECONDS[unit]) for number, unit in re.findall(_PART, text)
    )
    if total >= 2**63:
        return None
    return -total if text.startswith("-") else total


def canonical_duration(nanoseconds: int) -> str:
    """Returns a duration in nanoseconds as Go prints it: ``31m0s`` for 1 860 000 000 000."""
    if nanoseconds < 0:
        return "-" + canonical_duration(-nanoseconds)
    if nanoseconds == 0:
        return "0s"
    if nanoseconds < 10**9:
        for unit in ("ms", "µs", "ns"):
            if nanoseconds >= _NANOSECONDS[unit]:
                return _number(nanoseconds, _NANOSECONDS[unit]) + unit
    minutes, rest = divmod(nanoseconds, 60 * 10**9)
    hours, minutes = divmod(minutes, 60)
    seconds = _number(rest, 10**9) + "s"
    if hours:
        return f"{hours}h{minutes}m{seconds}"
    return f"{minutes}m{seconds}" if minutes else seconds


def _number(amount: int, unit: int) -> str:
    whole, rest = divmod(amount, unit)
    digits = len(str(unit)) - 1
    return f"{whole}.{rest:0{digits}d}".rstrip("0").rstrip(".") if rest else str(whole)
