"""What a field must be, in words for people."""

from __future__ import annotations

import types
from typing import Annotated, Any, Literal, Union, get_args, get_origin


def type_text(of: Any) -> str:
    """Returns what a value of a type must be: ``whole number``, ``vllm or sglang``."""
    origin, inner = get_origin(of), get_args(of)
    if origin is Annotated:
        return type_text(inner[0])
    if origin in (Union, types.UnionType):
        return type_text(next(each for each in inner if each is not type(None)))
    if origin is Literal:
        return " or ".join(map(str, inner))
    if origin is tuple:
        return "list"
    return {int: "whole number", float: "number", bool: "true or false", str: "text"}.get(
        of, "object"
    )
