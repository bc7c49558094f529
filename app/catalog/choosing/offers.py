"""The devices that there are: as users write them, and as the labels of nodes tell them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from app.catalog.devices import (
    AMD_PRODUCT,
    ASCEND,
    DEVICES,
    NVIDIA,
    NVIDIA_PRODUCT,
    Device,
    device_names,
    device_of_product,
    find_device,
)
from app.errors import UsageError
from app.values.meta import Object
from app.values.quantity import parse_quantity

_BEFORE = re.compile(r"(\d{1,4}) ?[xX*] ?(.+)", re.ASCII)
_AFTER = re.compile(r"(.+?) ?[:*] ?(\d{1,4})|(.+?) ?[xX] ?(\d{1,4})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Offer:
    """Devices of one kind.

    Args:
        device: the device.
        per_node: most of them in one node; None if the number is not known.
        nodes: how many nodes have that many; None if the number is not known.
    """

    device: Device
    per_node: int | None = None
    nodes: int | None = None

    def __str__(self) -> str:
        count = "" if self.per_node is None else f"{self.per_node} x "
        nodes = "" if self.nodes in (None, 1) else f" in each of {self.nodes} nodes"
        return f"{count}{self.device.title}{nodes}"


def parse_gpu(text: str) -> Offer:
    """Returns what a user offers: ``h100``, ``2xh100``, ``h100:2``, ``a100-80gb*4``.

    A number means the devices of one node. Without one, any number in any nodes is offered.

    Raises:
        UsageError: no such device is known; the text names the nearest ones.
    """
    name, count = text.strip(), None
    if (whole := find_device(name)) is not None:
        return Offer(whole)
    if match := _BEFORE.fullmatch(name):
        count, name = int(match[1]), match[2]
    elif match := _AFTER.fullmatch(name):
        name, number = (match[1], match[2]) if match[1] else (match[3], match[4])
        count = int(number)
    found = find_device(name)
    if found is None:
        known = {other: d.name for d in DEVICES for other in (d.name, *d.other_names)}
        near = get_close_matches(name.lower(), known, n=2)
        meant = " or ".join(dict.fromkeys(known[each] for each in near))
        hint = f"did you mean {meant}?" if meant else f"known are {', '.join(device_names())}"
        raise UsageError(f'GPU "{text}" is not known; {hint}')
    if count == 0:
        raise UsageError(f'GPU "{text}": the number must be at least 1')
    return Offer(found, count, None if count is None else 1)


def offers_of_nodes(nodes: Iterable[Mapping[str, Any]]) -> list[Offer]:
    """Returns the devices that nodes have, those with the most memory in all first.

    A node counts if it can be scheduled to, and if its labels tell the product: those of NVIDIA's
    feature discovery or AMD's node labeller; Ascend devices are told by their resource.

    Args:
        nodes: Node objects.
    """
    counts: dict[Device, Counter[int]] = {}
    for node in nodes:
        if (node.get("spec") or {}).get("unschedulable"):
            continue
        labels = (node.get("metadata") or {}).get("labels") or {}
        allocatable = (node.get("status") or {}).get("allocatable") or {}
        device = device_of_labels(labels, allocatable)
        amount = 0 if device is None else _whole(allocatable.get(device.resource))
        if device is not None and amount:
            counts.setdefault(device, Counter())[amount] += 1
    offers = [
        Offer(device, most, by_amount[most])
        for device, by_amount in counts.items()
        for most in [max(by_amount)]
    ]
    return sorted(offers, key=_size, reverse=True)


def _size(offer: Offer) -> int:
    return offer.device.memory * (offer.per_node or 1) * (offer.nodes or 1)


def _whole(amount: object) -> int:
    found = parse_quantity(amount)
    return int(found) if found is not None and found > 0 else 0


def device_of_labels(labels: Mapping[str, Any], resources: Object) -> Device | None:
    """Returns the device that the labels and resources of a node tell; None if they do not."""
    product = str(labels.get(NVIDIA_PRODUCT) or "")
    if product and NVIDIA in resources:
        return device_of_product(product)
    if amd := labels.get(AMD_PRODUCT):
        return device_of_product(str(amd))
    if ASCEND in resources:
        return find_device("ascend")
    return None
