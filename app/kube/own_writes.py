"""Recognises the watch events of our own writes by their text.

The API server writes an object in the same way in the response to a write and in the watch event of
that write, and most responses arrive first. So most events of our own writes need not be decoded,
and the stores share their objects with ``MutationCache`` instead of holding a second copy.
"""

from __future__ import annotations

from app.values.meta import Object

MAX_OWN_WRITES = 64
"""How many responses are kept; as many as there can be guarded writes at a time. The event of a
write without effect never comes."""

_BEGINS = {kind: b'{"type":"%b","object":' % kind.encode() for kind in ("MODIFIED", "ADDED")}
_END = b"}"


class OwnWrites:
    """The responses to recent writes whose watch events have not arrived yet."""

    def __init__(self) -> None:
        self._objects: dict[bytes, Object] = {}  # by text, the oldest first

    def note(self, body: bytes, obj: Object) -> None:
        """Notes the response to a write.

        Args:
            body: the response.
            obj: the object in it, as an event would hold it. It must not be changed any more.
        """
        if len(self._objects) >= MAX_OWN_WRITES:
            del self._objects[next(iter(self._objects))]
        self._objects[body.removesuffix(b"\n")] = obj

    def take(self, line: bytes) -> tuple[str, Object] | None:
        """Returns type and object of the event in a line of a watch, and forgets the write.

        Args:
            line: the line.

        Returns:
            None if it is not the event of a write that was noted. A reader of a second watch of
            the same objects decodes them.
        """
        if not self._objects or not line.endswith(_END):
            return None
        for kind, begin in _BEGINS.items():
            if line.startswith(begin):
                obj = self._objects.pop(line[len(begin) : -len(_END)], None)
                return None if obj is None else (kind, obj)
        return None
