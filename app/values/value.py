"""Values that are made by the hundred.

A frozen dataclass is what values are elsewhere in this program. To make one takes a quarter of a
microsecond for each field, six times as long as to make one that is not frozen, and an admission
review makes a hundred fields or a thousand. So for those few classes the type checker alone sees
to it that nobody changes a value.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

_Class = TypeVar("_Class")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def value(cls: type[_Class]) -> type[_Class]:
    """Makes a class a dataclass with slots that the type checker takes for frozen.

    It is hashable only if it says so itself.
    """
    return dataclass(slots=True)(cls)
