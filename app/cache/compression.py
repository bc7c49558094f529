"""Objects at rest: some two hundred bytes each, for one in use takes a hundred times as much.

Objects of one kind are much alike, and those that we make more than others. So the first one of a
kind serves as the dictionary of all that follow: what they have in common with it is not kept.
"""

from __future__ import annotations

import zlib
from typing import Any

import orjson

from app.errors import Garbled
from app.values.meta import Object

_LEVEL = 3
_WINDOW_BITS = 14
"""Of 16 KiB: what stands further back is not found again. More costs time for every object."""

_MEMORY_LEVEL = 5
_SAMPLE_BYTES = 8 << 10
"""Longest dictionary; it and as much of the object must fit into the window."""


class Packing:
    """Packs objects of one kind, and unpacks them again."""

    def __init__(self) -> None:
        self._sample = b""
        self._packer = _packer(b"")

    def packed(self, obj: Object) -> bytes:
        """Returns an object in its smallest form.

        Raises:
            Garbled: it holds what no JSON of the API server can.
        """
        try:
            text = orjson.dumps(obj)
        except orjson.JSONEncodeError as exc:
            raise Garbled(f"an object that is not JSON: {exc}") from exc
        packer = self._packer.copy()
        packed: bytes = packer.compress(text) + packer.flush()
        if not self._sample:
            self._sample = text[-_SAMPLE_BYTES:]
            self._packer = _packer(self._sample)
        return packed

    def unpacked(self, packed: bytes) -> Object:
        """Returns an object that was packed here, as a new one."""
        obj: Object = orjson.loads(
            zlib.decompressobj(_WINDOW_BITS, self._sample).decompress(packed)
        )
        return obj


def _packer(sample: bytes) -> Any:
    return zlib.compressobj(
        _LEVEL, zlib.DEFLATED, _WINDOW_BITS, _MEMORY_LEVEL, zlib.Z_DEFAULT_STRATEGY, sample
    )
