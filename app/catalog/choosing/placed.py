"""How much memory the devices of a pod have, as far as its spec tells."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from app.catalog.devices import (
    AMD,
    AMD_PRODUCT,
    ASCEND,
    DEVICES,
    GIB,
    NVIDIA,
    NVIDIA_MEMORY,
    NVIDIA_PRODUCT,
    device_of_product,
)

_MIG = re.compile(r"nvidia\.com/mig-(\d+g\.(\d+)gb)[\w.]*", re.ASCII)
_VENDORS = {"nvidia.com/gpu": NVIDIA, "amd.com/gpu": AMD, "huawei.com/": ASCEND}
"""Resources of one device each, by how their names begin."""


class Placed(NamedTuple):
    """The devices that a pod gets.

    Args:
        memory: bytes of each, or the most that it can be.
        title: what they are, for people.
        known: whether the spec tells which they are; if not, the largest one is assumed.
    """

    memory: int
    title: str
    known: bool


def placed(resources: Iterable[str], affinity: Mapping[str, Any] | None) -> Placed | None:
    """Returns the devices of a pod; None if nothing is known of such devices.

    The name of a resource tells the vendor, and the size of a MIG instance. A required node
    affinity may tell the product or the memory.

    Args:
        resources: names of the extended resources that count devices.
        affinity: ``affinity`` of the pod.
    """
    for resource in resources:
        if mig := _MIG.fullmatch(resource):
            return Placed(int(mig[2]) * GIB, f"MIG {mig[1]}", True)
        vendor = next((v for start, v in _VENDORS.items() if resource.startswith(start)), None)
        if vendor is None:
            continue
        return _by_affinity(affinity or {}) or max(
            Placed(d.memory, f"{d.title}, the largest known", False)
            for d in DEVICES
            if d.resource == vendor
        )
    return None


def _by_affinity(affinity: Mapping[str, Any]) -> Placed | None:
    """Returns the largest device to which a required node affinity leads; None if any may do."""
    node = affinity.get("nodeAffinity") or {}
    required = node.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    found = []
    for term in required.get("nodeSelectorTerms") or ():
        told = list(_by_term(term))
        if not told:
            return None
        found.append(min(told))
    return max(found) if found else None


def _by_term(term: Mapping[str, Any]) -> Iterator[Placed]:
    """Yields what each requirement of a term tells; all of them hold."""
    for requirement in term.get("matchExpressions") or ():
        values = [str(value) for value in requirement.get("values") or ()]
        if requirement.get("operator") != "In" or not values:
            continue
        if requirement.get("key") in (NVIDIA_PRODUCT, AMD_PRODUCT):
            devices = [device_of_product(value) for value in values]
            known = [Placed(d.memory, d.title, True) for d in devices if d is not None]
            if len(known) == len(values):
                yield max(known)
        elif requirement.get("key") == NVIDIA_MEMORY and all(_is_mebibytes(v) for v in values):
            most = max(map(int, values)) * 2**20
            yield Placed(most, f"devices with {most / GIB:.0f} GiB", True)


def _is_mebibytes(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 8
