"""The building blocks of the API's types: base class, schema extensions and common field types.

Types are strict, as the API server is: ``"1"`` is not an integer, and ``1`` is not a string.
Unknown fields are dropped, as the API server prunes them.
"""

from __future__ import annotations

import sys
from operator import itemgetter
from types import ModuleType
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, with_config

from app.values.names import LABEL


class _NoPlugins(ModuleType):
    @staticmethod
    def get_plugins() -> tuple[()]:
        return ()


# Pydantic searches all installed packages for plugins. That takes as long as creating our types,
# and no other package may change what a ModelBooster is. If pydantic gives the module another
# name, it searches again, and nothing else changes.
sys.modules.setdefault("pydantic.plugin._loader", _NoPlugins("pydantic.plugin._loader"))

NAME_PATTERN = f"^{LABEL}$"
"""Pattern of an RFC 1123 label."""

SERVED_NAME_PATTERN = r"^[a-zA-Z0-9]([-a-zA-Z0-9._/:]*[a-zA-Z0-9])?$"
"""Pattern of a model name that clients send: ``Qwen/Qwen2.5-7B-Instruct``, ``sql_lora``.

ModelRoutes accept any string. The pattern leaves out what engines read as syntax: blanks, commas
and equals signs.
"""

QUANTITY_PATTERN = (
    r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))"
    r"(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$"
)
"""Pattern of a quantity (apimachinery, ``resource.Quantity``)."""


def _camel(name: str) -> str:
    # That of pydantic compiles three regular expressions and takes a millisecond for our fields.
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))


class Fields(BaseModel):
    """Base class of every type: frozen, camelCase in JSON.

    The docstrings of fields become descriptions; see ``app.apis.crd``.
    """

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="ignore",
        alias_generator=_camel,
        validate_by_name=True,
        validate_by_alias=True,
        # The validator of ModelBooster contains those of all its parts.
        defer_build=True,
    )


def _marks(**marks: Any) -> dict[str, Any]:
    return {f"x-kubernetes-{name.replace('_', '-')}": value for name, value in marks.items()}


LIST_BY_NAME = _marks(list_type="map", list_map_keys=["name"])
"""A list with the key ``name``: field managers own items, not the whole list."""

LIST_BY_TYPE = _marks(list_type="map", list_map_keys=["type"])
"""A list with the key ``type``, for conditions."""

ATOMIC_LIST = _marks(list_type="atomic")
"""A list that has one field manager as a whole."""

ATOMIC_MAP = _marks(map_type="atomic")
"""An object that has one field manager as a whole."""

FREE_FORM = _marks(preserve_unknown_fields=True)
"""An object whose fields are not pruned."""


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
"""Checks that names are unique, as the API server does for lists with the key ``name``."""

T = TypeVar("T")
ByName = Annotated[list[T], Field(json_schema_extra=LIST_BY_NAME), AfterValidator(_named_apart)]
"""A list of dicts (``app.apis.core``) with the key ``name``."""

Atomic = Annotated[list[T], Field(json_schema_extra=ATOMIC_LIST)]
"""A list that has one field manager as a whole."""

# The API server does not check the formats. Its integers have 64 bits, so the CRD only needs the
# bounds of int32; those of int64 are for pydantic.
Int32 = Annotated[int, Field(ge=-(2**31), le=2**31 - 1, json_schema_extra={"format": "int32"})]
Int64 = Annotated[int, Field(ge=-(2**63), le=2**63 - 1, json_schema_extra={"format": "int64"})]

Quantity = (
    Annotated[int, Field(ge=-(2**63), le=2**63 - 1)]
    | Annotated[str, Field(pattern=QUANTITY_PATTERN)]
)
"""A quantity: ``2``, ``500m``, ``16Gi``."""


def int32_range(least: int, most: int) -> Any:
    """Returns the field of an int32 from ``least`` to ``most``, both included."""
    return Field(ge=least, le=most, json_schema_extra={"format": "int32"})


Percent = Annotated[int, int32_range(0, 100)]
PerMille = Annotated[int, int32_range(0, 1000)]
NotNegative = Annotated[int, int32_range(0, 2**31 - 1)]

_CORE_CONFIG = ConfigDict(strict=True, extra="ignore")

core_type = with_config(_CORE_CONFIG)
"""Decorates a TypedDict of ``app.apis.core``."""

atomic_core_type = with_config(ConfigDict(**_CORE_CONFIG, json_schema_extra=ATOMIC_MAP))
"""The same for a type whose values have one owner each (``x-kubernetes-map-type: atomic``)."""
