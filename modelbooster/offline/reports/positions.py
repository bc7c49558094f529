"""Finds the line of a field in a file. Only reports need it, so files are read once more for it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from modelbooster.offline.documents import Origin


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a file, counted from 1."""

    line: int
    column: int = 1


def position_of(origin: Origin, field: str) -> Position:
    """Returns the position of a field, or of the deepest part of its path that is written.

    Args:
        origin: where the object is.
        field: the path of the field, such as ``spec.backends[0].image``.
    """
    node = _documents(origin.content).get(origin.line)
    if node is None:  # JSON that is no YAML: with tabs, or several texts in a file
        return Position(origin.line)
    path = f"{origin.within}.{field}" if origin.within else field
    at, rest = node, path
    while rest:
        step = _step(node, rest)
        if step is None:
            break
        at, node, rest = step
    return Position(at.start_mark.line + 1, at.start_mark.column + 1)


@lru_cache(maxsize=4)
def _documents(content: bytes) -> dict[int, Node]:
    """Returns the documents of a file by their first line; none if it is not YAML."""
    try:
        nodes = [*yaml.compose_all(content, Loader=yaml.CSafeLoader)]
    except yaml.YAMLError:
        return {}
    return {node.start_mark.line + 1: node for node in nodes if node is not None}


def _step(node: Node, path: str) -> tuple[Node, Node, str] | None:
    """Takes the first step of a path.

    Returns:
        The node to point at (a key or an item), the value, and the rest of the path; None if the
        step is not written.
    """
    path = path.removeprefix(".")
    if isinstance(node, SequenceNode):
        index, end, rest = path.removeprefix("[").partition("]")
        if not end or not index.isdecimal() or int(index) >= len(node.value):
            return None
        item: Node = node.value[int(index)]
        return item, item, rest
    if isinstance(node, MappingNode):
        # Keys can contain dots and brackets, so the longest one that fits is the right one.
        fitting = [
            (len(text), key, value, path[len(text) :])
            for key, value in node.value
            if isinstance(key, ScalarNode)
            for text in (key.value, f"[{key.value}]")
            if path.startswith(text) and path[len(text) : len(text) + 1] in ("", ".", "[")
        ]
        if fitting:
            _, key, value, rest = max(fitting, key=lambda each: each[0])
            return key, value, rest
    return None
