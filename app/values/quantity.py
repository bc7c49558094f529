"""Quantities as Kubernetes writes them: ``500m``, ``2``, ``16Gi``.

The grammar, rounding and printed form are those of apimachinery's ``resource.Quantity``
(https://pkg.go.dev/k8s.io/apimachinery/pkg/api/resource). Children always use the printed form.
kthena's autoscaler rewrites a ModelServing through Go types, and any other spelling would change
and restart every pod.
"""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal
from functools import lru_cache

from app.values.value import value

_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_SUFFIXES = {exponent: suffix for suffix, exponent in _DECIMAL.items()}

_WHOLE = re.compile(
    r"([+-]?)([0-9]*)(?:\.([0-9]*))?([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?", re.ASCII
)
_LONGEST = 100
"""Longest accepted text; bounds the cost of parsing."""

_SMALLEST = -9
"""Exponent of the smallest unit; smaller parts round up."""

_LARGEST_BINARY = 2**63 - 1


@value
class _Amount:
    """``digits`` x 10^``exponent``, and how it was written."""

    negative: bool
    digits: int
    exponent: int
    binary: bool
    scientific: bool


def parse_quantity(value: object) -> Decimal | None:
    """Returns a quantity as an exact number, or None if ``value`` is not a quantity.

    Parts below 10^-9 round away from zero, as in Kubernetes.
    """
    text = _text_of(value)
    return None if text is None else _number(text)


def canonical_quantity(value: object, times: int = 1) -> str:
    """Returns the form that a Go client writes: ``500m`` for 0.5, ``1Gi`` for ``1024Mi``.

    Args:
        value: the quantity.
        times: what it is multiplied by, exactly.

    Raises:
        ValueError: ``value`` is not a quantity.
    """
    text = _text_of(value)
    written = None if text is None else _canonical(text, times)
    if written is None:
        raise ValueError(f"{value!r} is not a quantity")
    return written


def _text_of(value: object) -> str | None:
    """Returns the text of a quantity; None if it is too long, or of another type."""
    if isinstance(value, str):
        return value if len(value) <= _LONGEST else None
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= 10**_LONGEST:
        return None
    text = str(value)
    return text if len(text) <= _LONGEST else None


@lru_cache(maxsize=1024)  # few distinct quantities, each in many objects
def _number(text: str) -> Decimal | None:
    amount = _read(text)
    if amount is None:
        return None
    digits = tuple(map(int, str(amount.digits)))
    return Decimal((int(amount.negative), digits, amount.exponent))


@lru_cache(maxsize=1024)
def _canonical(text: str, times: int) -> str | None:
    amount = _read(text)
    if amount is None:
        return None
    if times != 1:
        digits = amount.digits * times
        if amount.binary:
            digits = min(digits, _LARGEST_BINARY * 10**-amount.exponent)
        amount = replace(amount, digits=digits)
    if not amount.digits:
        return "0"
    return ("-" if amount.negative else "") + (_in_1024s(amount) or _in_thousands(amount))


def _read(text: str) -> _Amount | None:
    match = _WHOLE.fullmatch(text)
    if match is None:
        return None
    sign, whole, fraction, suffix = match.group(1), match.group(2), match.group(3), match.group(4)
    if not whole and not fraction:
        return None
    suffix = suffix or ""
    fraction = (fraction or "").rstrip("0")
    digits, exponent = int(whole + fraction or "0"), -len(fraction)
    scientific = suffix not in _DECIMAL and suffix not in _BINARY
    if scientific:
        if len(suffix) > 4:
            return None
        exponent += int(suffix[1:])
    elif suffix in _BINARY:
        digits <<= _BINARY[suffix]
    else:
        exponent += _DECIMAL[suffix]
    if exponent < _SMALLEST:
        quotient, remainder = divmod(digits, 10 ** (_SMALLEST - exponent))
        digits, exponent = quotient + bool(remainder), _SMALLEST
    if suffix in _BINARY and digits > _LARGEST_BINARY * 10**-exponent:
        digits, exponent = _LARGEST_BINARY, 0
    return _Amount(sign == "-", digits, exponent, suffix in _BINARY, scientific)


def _in_1024s(amount: _Amount) -> str:
    """Returns a binary form such as ``16Gi``; ``""`` if the amount has none."""
    number, rest = divmod(amount.digits, 10**-amount.exponent) if amount.binary else (0, 0)
    if rest or number < 1024:
        return ""
    # Without a suffix it would be parsed as a decimal amount, and 64000 prints as 64k.
    for suffix in ("", *_BINARY):
        if number % 1024:
            return f"{number}{suffix}" if suffix else ""
        number //= 1024
    return ""


def _in_thousands(amount: _Amount) -> str:
    digits, exponent = amount.digits, amount.exponent
    while digits % 10 == 0:
        digits, exponent = digits // 10, exponent + 1
    digits, exponent = digits * 10 ** (exponent % 3), exponent - exponent % 3
    if amount.scientific or exponent not in _SUFFIXES:
        return f"{digits}e{exponent}" if exponent else str(digits)
    return f"{digits}{_SUFFIXES[exponent]}"
