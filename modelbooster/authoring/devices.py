"""The devices that a template may be put on: as the user names them, or as nodes offer them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from app.catalog.choosing.offers import Offer, offers_of_nodes, parse_gpu
from app.catalog.devices import CPU, DEVICES, NVIDIA, NVIDIA_PRODUCT, device
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


def offers_and_note(nodes: list[Mapping[str, Any]]) -> tuple[list[Offer], str]:
    """Returns what nodes offer, and why they offer nothing that is known; empty if they do."""
    offers = offers_of_nodes(nodes)
    if offers:
        return offers, ""
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
            f"nodes offer {NVIDIA} without the label {NVIDIA_PRODUCT} of GPU feature discovery, so "
            "the device is not known; name it with --gpu"
        )
    if unnamed:
        listed = ", ".join(sorted(unnamed))
        return [], f"nodes offer {listed}, which tells no device that is known; name it with --gpu"
    return [], "no node offers an accelerator"


def cpu_only(template: Template) -> bool:
    """Returns whether all profiles of a template are for CPUs, which every node offers."""
    return all(profile.device == CPU for profile in template.profiles)
