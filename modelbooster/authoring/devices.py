"""The devices that a template may be put on: as the user names them, or as nodes offer them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from app.catalog.choosing.offers import Offer, offers_of_nodes, parse_gpu
from app.catalog.devices import (
    CPU,
    DEVICES,
    NVIDIA,
    NVIDIA_MEMORY,
    NVIDIA_PRODUCT,
    device,
    device_of_product,
)
from app.catalog.templates import Template
from app.errors import UsageError
from app.kube import Kube
from app.values.meta import Resource
from app.values.quantity import parse_quantity

NODE = Resource("", "v1", "nodes", "Node", namespaced=False)


def named_offers(texts: Iterable[str], template: Template) -> list[Offer]:
    """Returns the devices that a user names: ``h100``, ``h100:2``, or a resource ``amd.com/gpu``.

    A resource means every device of the template's profiles that it counts.

    Raises:
        UsageError: a device is not known, or the template has no profile for a resource.
    """
    found: list[Offer] = []
    for text in texts:
        if "/" not in text:
            found.append(parse_gpu(text))
            continue
        resource, colon, number = text.partition(":")
        if colon and not number.isdecimal():
            raise UsageError(f'--gpu "{text}": write RESOURCE or RESOURCE:NUMBER')
        own = dict.fromkeys(device(profile.device) for profile in template.profiles)
        offers = [
            Offer(one, int(number) if colon else None, 1 if colon else None)
            for one in own
            if one.resource == resource
        ]
        if not offers:
            has = sorted({one.resource for one in own})
            known = sorted({one.resource for one in DEVICES})
            detail = (
                f"{template.name} has profiles for {', '.join(has)}"
                if resource in known
                else f"known are {', '.join(known)}"
            )
            raise UsageError(f'--gpu "{text}": no profile for this resource; {detail}')
        found += offers
    return found


async def nodes_of(kube: Kube) -> list[Mapping[str, Any]]:
    """Returns the nodes of the cluster."""
    return [*(await kube.list(NODE)).items]


def offers_and_note(nodes: Sequence[Mapping[str, Any]]) -> tuple[list[Offer], str]:
    """Returns what nodes offer, and a note about devices that are not known; empty without any.

    A product of NVIDIA that is not known counts as the known one that has as much of its memory.
    """
    notes: list[str] = []
    known = [_with_known_product(node, notes) for node in nodes]
    offers = offers_of_nodes(known)
    if offers:
        return offers, "; ".join(dict.fromkeys(notes))
    if not nodes:
        return [], "the cluster has no nodes"
    unnamed = {
        name
        for node in nodes
        for name, amount in ((node.get("status") or {}).get("allocatable") or {}).items()
        if "/" in name and (parse_quantity(amount) or 0) > 0 and not name.startswith("hugepages")
    }
    if NVIDIA in unnamed:
        return [], (
            f"nodes offer {NVIDIA}, but their labels {NVIDIA_PRODUCT} and {NVIDIA_MEMORY} (of GPU "
            "feature discovery) name no device that is known; name it with --gpu"
        )
    if unnamed:
        listed = ", ".join(sorted(unnamed))
        return [], f"nodes offer {listed}, which tells no device that is known; name it with --gpu"
    return [], "no node offers an accelerator"


_COMPUTE_MAJOR = "nvidia.com/gpu.compute.major"
"""Label of GPU feature discovery: from 8 on, devices compute with bfloat16."""


def _with_known_product(node: Mapping[str, Any], notes: list[str]) -> Mapping[str, Any]:
    """Returns a node whose label names a known product, if its memory tells one."""
    labels = (node.get("metadata") or {}).get("labels") or {}
    product, memory = str(labels.get(NVIDIA_PRODUCT) or ""), str(labels.get(NVIDIA_MEMORY) or "")
    if not product or device_of_product(product) or not memory.isdecimal():
        return node
    major = str(labels.get(_COMPUTE_MAJOR) or "8")
    fitting = [
        one
        for one in DEVICES
        if one.resource == NVIDIA and one.products and one.memory <= int(memory) * _MIB
        if one.bf16 == (not major.isdecimal() or int(major) >= 8)
    ]
    if not fitting:
        return node
    nearest = max(fitting, key=lambda one: one.memory)
    notes.append(f"{product} is not known; by its memory it counts as {nearest.title}")
    renamed = {**labels, NVIDIA_PRODUCT: nearest.products[0]}
    return {**node, "metadata": {**node["metadata"], "labels": renamed}}


_MIB = 2**20


def cpu_only(template: Template) -> bool:
    """Returns whether all profiles of a template are for CPUs, which every node offers."""
    return all(profile.device == CPU for profile in template.profiles)
