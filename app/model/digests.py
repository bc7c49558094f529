"""JSON of values whose hashes are stored or compared, with sorted keys."""

from __future__ import annotations

import json
import re
from typing import Any

import orjson

_FLOAT = re.compile(rb"[:\[,]-?[0-9]+[.eE]")
_DELETE = b"\x7f"
# What the two encoders may write differently: a float, or a text like one, and one character. One
# pattern for both would take four times as long.


def sorted_json(value: Any) -> bytes:
    """Returns a value as JSON with sorted keys. It may differ between versions of the program."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def standard_json(value: Any) -> bytes:
    """Returns the JSON that the encoder of the standard library writes, with sorted keys.

    It never changes, so its hash may be stored. orjson takes a quarter of the time, and writes the
    same but for a few values.

    Args:
        value: an object or a list.
    """
    try:
        text = sorted_json(value)
    except orjson.JSONEncodeError:  # half of a character, or an integer of more than 64 bits
        text = b"\xff"
    if text.isascii() and _DELETE not in text and not _FLOAT.search(text):
        return text
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
