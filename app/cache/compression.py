"""Compresses stored objects to some 200 bytes each; as Python dicts they take 100 times as much.

Objects of one kind are similar, above all those that we create. The first object of a kind is the
dictionary for all later ones, so what they have in common is stored once.
"""

from __future__ import annotations

import zlib
from typing import Any

import orjson

from app.errors import Garbled
from app.values.meta import Object

_LEVEL = 3
_WINDOW_BITS = 14
"""A window of 16 KiB, in which repetitions are found. A larger one costs time for every object."""

_MEMORY_LEVEL = 5
_MAX_DICTIONARY_BYTES = 8 << 10
"""Longest dictionary. It must fit into the window together with as much of the object."""


class Compressor:
    """Compresses and decompresses objects of one kind."""

    def __init__(self) -> None:
        self._dictionary = b""
        self._compressobj = _compressobj(b"")

    def compress(self, obj: Object) -> bytes:
        """Returns an object as compressed JSON.

        Raises:
            Garbled: the object holds a value that is not JSON.
        """
        try:
            text = orjson.dumps(obj)
        except orjson.JSONEncodeError as exc:
            raise Garbled(f"an object that is not JSON: {exc}") from exc
        compressobj = self._compressobj.copy()
        compressed: bytes = compressobj.compress(text) + compressobj.flush()
        if not self._dictionary:
            self._dictionary = text[-_MAX_DICTIONARY_BYTES:]
            self._compressobj = _compressobj(self._dictionary)
        return compressed

    def decompress(self, compressed: bytes) -> Object:
        """Returns a new copy of an object that this compressor has compressed."""
        obj: Object = orjson.loads(
            zlib.decompressobj(_WINDOW_BITS, self._dictionary).decompress(compressed)
        )
        return obj


def _compressobj(dictionary: bytes) -> Any:
    return zlib.compressobj(
        _LEVEL, zlib.DEFLATED, _WINDOW_BITS, _MEMORY_LEVEL, zlib.Z_DEFAULT_STRATEGY, dictionary
    )
