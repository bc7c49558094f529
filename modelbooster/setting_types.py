"""The types of settings."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from functools import cache
from ipaddress import ip_address
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, TypeAdapter, ValidationError

from app.apis.core import ResourceRequirements
from app.values.meta import Object
from app.values.names import MAX_SUBDOMAIN_LENGTH, SUBDOMAIN


def _check_host(value: str) -> str:
    if not value or re.fullmatch(SUBDOMAIN, value):
        return value
    try:
        return str(ip_address(value))
    except ValueError:
        raise ValueError("must be a DNS name or an IP address, without a port") from None


Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)]
Delay = Annotated[float, Field(ge=0, le=3600, allow_inf_nan=False)]
Host = Annotated[str, Field(max_length=253), AfterValidator(_check_host)]
"""A DNS name or an IP address; an IPv6 address without brackets."""
ObjectName = Annotated[str, Field(max_length=MAX_SUBDOMAIN_LENGTH, pattern=f"^{SUBDOMAIN}$")]


def _split_commas(value: object) -> object:
    if not isinstance(value, str):
        return value
    return tuple(part.strip() for part in value.split(",") if part.strip())


def _parse_json(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError as exc:
        raise ValueError(f"not JSON: {exc}") from exc


def checked_resources(value: Object) -> Object:
    """Returns the resources of a container.

    Raises:
        ValueError: they are not resources as in core/v1.
    """
    if not value:
        return value
    try:
        known: object = _resources().validate_python(value)
    except ValidationError as exc:
        loc = [str(part) for part in exc.errors()[0]["loc"]]
        if loc[0] == "claims" or len(loc) < 2:
            raise ValueError(f"{'.'.join(loc)} cannot be read") from exc
        name = ".".join(loc[:2])
        raise ValueError(f"{name} must be an amount such as 500m, 2 or 16Gi") from exc
    if known != value:
        raise ValueError("holds something besides limits, requests and claims")
    return value


@cache
def _resources() -> TypeAdapter[ResourceRequirements]:
    """Returns the validator of resources; few processes need it, and it takes long to build."""
    return TypeAdapter(ResourceRequirements)


_JSON = BeforeValidator(_parse_json)

Names = Annotated[tuple[str, ...], BeforeValidator(_split_commas)]
"""A comma-separated list."""
Metadata = Annotated[
    dict[Annotated[str, Field(pattern="^(labels|annotations)$")], dict[str, str]], _JSON
]
"""Labels and annotations, as JSON."""
Resources = Annotated[Object, _JSON, AfterValidator(checked_resources)]
"""The resources of a container, as JSON."""
Arguments = Annotated[tuple[str, ...], _JSON]
"""A list of texts, as JSON."""


def suggestion(name: str, known: Iterable[str], prefix: str) -> str:
    """Returns the setting that a misspelt variable may mean, for the end of its error message.

    Args:
        name: the variable.
        known: the variables of all settings.
        prefix: what all of them begin with; they are compared without it.
    """
    from difflib import get_close_matches

    rest = [setting.removeprefix(prefix) for setting in known]
    near = get_close_matches(name.upper().removeprefix(prefix), rest, n=1, cutoff=0.5)
    return f"; did you mean {prefix}{near[0]}?" if near else ""
