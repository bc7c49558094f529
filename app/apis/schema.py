"""What every type of the API is built from: the base class, and marks that the CRD schema carries.

Strict on purpose: the API server takes ``"1"`` for no integer and ``1`` for no string, so neither
do we. Fields that a type does not know are dropped, as the API server prunes them.
"""

from __future__ import annotations

from operator import itemgetter
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, with_config
from pydantic.alias_generators import to_camel

from app.values.names import LABEL

NAME_PATTERN = f"^{LABEL}$"
"""An RFC 1123 label, as the API has always asked of names."""

QUANTITY_PATTERN = (
    r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))"
    r"(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$"
)
"""Kubernetes' own pattern of a quantity (apimachinery, ``resource.Quantity``)."""


class Fields(BaseModel):
    """Base of every type: frozen, camelCase outside, docstrings become descriptions."""

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="ignore",
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        use_attribute_docstrings=True,
    )


def _marks(**marks: Any) -> dict[str, Any]:
    return {f"x-kubernetes-{name.replace('_', '-')}": value for name, value in marks.items()}


LIST_BY_NAME = _marks(list_type="map", list_map_keys=["name"])
"""A list whose items are told apart by ``name``: appliers own items, not the whole list."""

LIST_BY_TYPE = _marks(list_type="map", list_map_keys=["type"])
"""The same by ``type``, for conditions."""

ATOMIC_LIST = _marks(list_type="atomic")
"""A list that is one value."""

ATOMIC_MAP = _marks(map_type="atomic")
"""An object that is one value."""

FREE_FORM = _marks(preserve_unknown_fields=True)
"""An object whose fields nobody prunes."""


def _names_differ(items: list[Any]) -> list[Any]:
    if len({item.name for item in items}) < len(items):
        raise ValueError(_SAME_NAME)
    return items


def _named_apart(items: list[Any]) -> list[Any]:
    if len(set(map(_NAME, items))) < len(items):
        raise ValueError(_SAME_NAME)
    return items


_SAME_NAME = "two items have the same name"
_NAME = itemgetter("name")

UNIQUE_NAMES = AfterValidator(_names_differ)
"""What the API server holds of a list by name, and a JSON schema cannot say."""

T = TypeVar("T")
ByName = Annotated[list[T], Field(json_schema_extra=LIST_BY_NAME), AfterValidator(_named_apart)]
"""A list of dicts (``app.apis.core``) that are told apart by their names."""

Atomic = Annotated[list[T], Field(json_schema_extra=ATOMIC_LIST)]
"""A list that is one value: who applies it owns all of it."""

# The API server knows the formats and holds neither; of int64 it takes no more than fits, since
# its numbers have no more bits. The bounds of int32 must therefore be said.
Int32 = Annotated[int, Field(ge=-(2**31), le=2**31 - 1, json_schema_extra={"format": "int32"})]
Int64 = Annotated[int, Field(ge=-(2**63), le=2**63 - 1, json_schema_extra={"format": "int64"})]

Quantity = (
    Annotated[int, Field(ge=-(2**63), le=2**63 - 1)]
    | Annotated[str, Field(pattern=QUANTITY_PATTERN)]
)
"""An amount: ``2``, ``500m``, ``16Gi``."""


def int32_range(least: int, most: int) -> Any:
    """Returns the field of an int32 from ``least`` to ``most``, both included."""
    return Field(ge=least, le=most, json_schema_extra={"format": "int32"})


Percent = Annotated[int, int32_range(0, 100)]
PerMille = Annotated[int, int32_range(0, 1000)]
NotNegative = Annotated[int, int32_range(0, 2**31 - 1)]

_CORE_CONFIG = ConfigDict(strict=True, extra="ignore", use_attribute_docstrings=True)

core_type = with_config(_CORE_CONFIG)
"""Decorates a TypedDict of ``app.apis.core``."""

atomic_core_type = with_config(ConfigDict(**_CORE_CONFIG, json_schema_extra=ATOMIC_MAP))
"""The same for a type whose values have one owner each (``x-kubernetes-map-type: atomic``)."""
