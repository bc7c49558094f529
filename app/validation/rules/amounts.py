"""Rules about resources: the checks that the API server makes when it creates a pod.

Paths and messages are those of the API server; values are shown as the user wrote them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import ROUND_CEILING, Decimal
from functools import lru_cache

from app.convert.core_v1 import quantity_of
from app.model.forms import Model, cached_fact
from app.model.roles import served
from app.validation.inputs import RuleInputs
from app.validation.rules.facts import fault_of
from app.values.fields import FieldError, Path, forbidden, invalid, required
from app.values.meta import Object
from app.values.names import qualified_faults
from app.values.quantity import canonical_quantity, parse_quantity

_STANDARD = frozenset({"cpu", "memory", "ephemeral-storage"})
_HUGE_PAGES = "hugepages-"
_PARTS = ("limits", "requests")
_PLAIN = re.compile(r"[0-9]{1,15}(?:[KMGTPE]i|[kMGTPE])?", re.ASCII)
"""The usual amounts: whole numbers, which need no further checks."""
_THOUSANDTH = Decimal("0.001")


def resource_names_are_known(inputs: RuleInputs) -> Iterator[FieldError]:
    """A resource is cpu, memory, ephemeral-storage, hugepages-2Mi or the like, or an extended one.

    Extended resources have names such as nvidia.com/gpu.
    """
    for path, name, _ in _amounts(inputs.model):
        if name in _STANDARD:
            continue
        details = (_cached_name_faults if len(name) < _MAX_CACHED else _name_faults)(name)
        for detail in details:
            yield invalid(path, name, detail)


def _name_faults(name: str) -> list[str]:
    """Returns what is wrong with the name of a resource."""
    faults = list(qualified_faults(name))
    if faults or (_is_huge(name) and "/" not in name):
        return faults
    if "/" not in name:
        return ["must be a standard resource for containers"]
    if not _is_native(name) and not _is_extended(name):
        return ["doesn't follow extended resource name standard"]
    return []


_MAX_CACHED = 256
"""Longest name that is cached, in characters; the names of devices are short, and few."""

_cached_name_faults = lru_cache(maxsize=256)(_name_faults)


def amounts_are_possible(inputs: RuleInputs) -> Iterator[FieldError]:
    """Amounts are quantities that are not negative; devices and huge pages are whole numbers."""
    for path, name, written in _amounts(inputs.model):
        if not _is_huge(name) and _PLAIN.fullmatch(str(written)):
            continue
        amount = parse_quantity(written)
        if amount is None:
            if fault := fault_of(quantity_of, written, path):
                yield fault
            continue
        if amount < 0:
            yield invalid(path, written, "must be greater than or equal to 0")
        if _is_extended(name) and not _is_whole(amount):
            yield invalid(path, written, "must be an integer")
        if _is_huge(name) and not _is_multiple(amount, name.removeprefix(_HUGE_PAGES)):
            detail = f"{canonical_quantity(written)} is not positive integer multiple of {name}"
            yield invalid(path, written, detail)


def requests_fit_limits(inputs: RuleInputs) -> Iterator[FieldError]:
    """A request is at most its limit; for resources that cannot be overcommitted it is equal."""
    for path, resources in _resources(inputs.model):
        limits = resources.get("limits") or {}
        for name, written in (resources.get("requests") or {}).items():
            asked, shared = parse_quantity(written), _is_native(name) and not _is_huge(name)
            if name not in limits:
                if not shared:
                    detail = "Limit must be set for non overcommitable resources"
                    yield required(path.child("limits"), detail)
                continue
            most = parse_quantity(limits[name])
            if asked is None or most is None or asked == most or (shared and asked < most):
                continue
            relation = "less than or equal" if shared else "equal"
            detail = f"must be {relation} to {name} limit of {canonical_quantity(limits[name])}"
            yield invalid(path.child("requests"), written, detail)


def huge_pages_have_company(inputs: RuleInputs) -> Iterator[FieldError]:
    """A container with huge pages also requests cpu or memory."""
    for path, resources in _resources(inputs.model):
        names = {name for part in _PARTS for name in resources.get(part) or ()}
        if any(map(_is_huge, names)) and not names & {"cpu", "memory"}:
            yield forbidden(path, "HugePages require cpu or memory")


def claims_are_absent(inputs: RuleInputs) -> Iterator[FieldError]:
    """``resources`` has no ``claims``.

    They would name claims of the pod, and our pods have none.
    """
    for path, resources in _resources(inputs.model):
        for position, claim in enumerate(resources.get("claims") or ()):
            yield invalid(
                path.child("claims").index(position),
                claim["name"],
                "must be one of the names in pod.spec.resourceClaims which is empty",
            )


@cached_fact
def _resources(model: Model) -> list[tuple[Path, Object]]:
    """Returns path and value of the workers' resources."""
    return [
        (worker.path.child("resources"), worker.resources)
        for backend in served(model)
        for worker in backend.workers
        if worker.resources
    ]


@cached_fact
def _amounts(model: Model) -> list[tuple[Path, str, object]]:
    return [
        (path.child(part).key(name), name, written)
        for path, resources in _resources(model)
        for part in _PARTS
        for name, written in (resources.get(part) or {}).items()
    ]


def _is_huge(name: str) -> bool:
    return name.startswith(_HUGE_PAGES)


def _is_native(name: str) -> bool:
    return "/" not in name or "kubernetes.io/" in name


def _is_extended(name: str) -> bool:
    """Whether a name is an extended resource; a quota adds the prefix ``requests.`` to it."""
    if _is_native(name) or name.startswith("requests."):
        return False
    return not any(qualified_faults(f"requests.{name}"))


def _is_whole(amount: Decimal) -> bool:
    """Whether an amount is whole when rounded up to a thousandth, as the API server does."""
    return amount.quantize(_THOUSANDTH, ROUND_CEILING) % 1 == 0


def _is_multiple(amount: Decimal, size: str) -> bool:
    page = parse_quantity(size)
    if page is None or page <= 0 or not _is_whole(page):
        return False
    return amount.to_integral_value(ROUND_CEILING) % page == 0
