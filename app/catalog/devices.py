"""The devices that profiles are made for, and how pods and nodes name them."""

from __future__ import annotations

from typing import NamedTuple

GIB = 2**30


class Device(NamedTuple):
    """One model of accelerator.

    Args:
        name: as profiles name it.
        title: name for people.
        memory: bytes that a process can use: what the driver reports, less what it keeps.
        resource: the extended resource that counts such devices.
        products: values of the node label of the vendor's discovery, without the suffixes of
            sharing and of MIG.
        other_names: what users may write as well.
        bf16: whether it computes with bfloat16, as nearly all models want.
    """

    name: str
    title: str
    memory: int
    resource: str
    products: tuple[str, ...] = ()
    other_names: tuple[str, ...] = ()
    bf16: bool = True


NVIDIA, AMD, ASCEND, CPU = "nvidia.com/gpu", "amd.com/gpu", "huawei.com/ascend-1980", "cpu"

NVIDIA_PRODUCT = "nvidia.com/gpu.product"
"""Node label of NVIDIA's GPU feature discovery: the product, with dashes for blanks."""

NVIDIA_MEMORY = "nvidia.com/gpu.memory"
"""Node label of the same: MiB of each device, or of each MIG instance."""

AMD_PRODUCT = "amd.com/gpu.product-name"
"""Node label of AMD's node labeller."""


def _gib(amount: float) -> int:
    return int(amount * GIB)


DEVICES: tuple[Device, ...] = (
    Device("t4-16gb", "NVIDIA T4", _gib(14.56), NVIDIA, ("Tesla-T4",), ("t4",), bf16=False),
    Device("l4-24gb", "NVIDIA L4", _gib(22.03), NVIDIA, ("NVIDIA-L4",), ("l4",)),
    Device("a10-24gb", "NVIDIA A10", _gib(22.06), NVIDIA, ("NVIDIA-A10",), ("a10",)),
    Device("a10g-24gb", "NVIDIA A10G", _gib(22.06), NVIDIA, ("NVIDIA-A10G",), ("a10g",)),
    Device(
        "rtx4090-24gb",
        "NVIDIA GeForce RTX 4090",
        _gib(23.53),
        NVIDIA,
        ("NVIDIA-GeForce-RTX-4090",),
        ("rtx4090", "4090"),
    ),
    Device(
        "rtx5090-32gb",
        "NVIDIA GeForce RTX 5090",
        _gib(31.36),
        NVIDIA,
        ("NVIDIA-GeForce-RTX-5090",),
        ("rtx5090", "5090"),
    ),
    Device(
        "a100-40gb",
        "NVIDIA A100 40 GB",
        _gib(39.38),
        NVIDIA,
        ("NVIDIA-A100-SXM4-40GB", "NVIDIA-A100-PCIE-40GB"),
    ),
    Device("l40s-48gb", "NVIDIA L40S", _gib(44.39), NVIDIA, ("NVIDIA-L40S",), ("l40s",)),
    Device("a40-48gb", "NVIDIA A40", _gib(44.34), NVIDIA, ("NVIDIA-A40",), ("a40",)),
    Device(
        "rtxa6000-48gb",
        "NVIDIA RTX A6000",
        _gib(47.40),
        NVIDIA,
        ("NVIDIA-RTX-A6000",),
        ("a6000", "rtxa6000"),
    ),
    Device(
        "rtx6000ada-48gb",
        "NVIDIA RTX 6000 Ada",
        _gib(47.40),
        NVIDIA,
        ("NVIDIA-RTX-6000-Ada-Generation",),
        ("rtx6000ada",),
    ),
    Device(
        "a100-80gb",
        "NVIDIA A100 80 GB",
        _gib(79.25),
        NVIDIA,
        ("NVIDIA-A100-SXM4-80GB", "NVIDIA-A100-80GB-PCIe"),
        ("a100",),
    ),
    Device(
        "h100-80gb",
        "NVIDIA H100 80 GB",
        _gib(79.18),
        NVIDIA,
        ("NVIDIA-H100-80GB-HBM3", "NVIDIA-H100-PCIe"),
        ("h100",),
    ),
    Device("h100-94gb", "NVIDIA H100 NVL", _gib(93.10), NVIDIA, ("NVIDIA-H100-NVL",)),
    Device(
        "rtxpro6000-96gb",
        "NVIDIA RTX PRO 6000 Blackwell",
        _gib(94.97),
        NVIDIA,
        (
            "NVIDIA-RTX-PRO-6000-Blackwell-Server-Edition",
            "NVIDIA-RTX-PRO-6000-Blackwell-Workstation-Edition",
        ),
        ("rtxpro6000",),
    ),
    Device("h20-96gb", "NVIDIA H20", _gib(95.22), NVIDIA, ("NVIDIA-H20",), ("h20",)),
    Device("h200-141gb", "NVIDIA H200", _gib(139.80), NVIDIA, ("NVIDIA-H200",), ("h200",)),
    Device("b200-180gb", "NVIDIA B200", _gib(178.36), NVIDIA, ("NVIDIA-B200",), ("b200",)),
    Device("b300-288gb", "NVIDIA B300", _gib(268.00), NVIDIA, ("NVIDIA-B300-SXM6-AC",), ("b300",)),
    Device(
        "mi300x-192gb",
        "AMD Instinct MI300X",
        _gib(191.69),
        AMD,
        ("AMD_Instinct_MI300X_OAM", "AMD_Instinct_MI300X"),
        ("mi300x",),
    ),
    Device(
        "mi325x-256gb",
        "AMD Instinct MI325X",
        _gib(255.69),
        AMD,
        ("AMD_Instinct_MI325X",),
        ("mi325x",),
    ),
    Device(
        "mi355x-288gb",
        "AMD Instinct MI355X",
        _gib(287.69),
        AMD,
        ("AMD_Instinct_MI355X",),
        ("mi355x",),
    ),
    Device(
        "ascend-910b-64gb",
        "Huawei Ascend 910B",
        _gib(60.97),
        ASCEND,
        other_names=("910b", "ascend-910b", "ascend"),
    ),
    Device("cpu", "CPU", 0, CPU),
)
"""All of them. Memory is what engines report as total; see docs/catalogue.md for the sources."""

_BY_NAME = {name: device for device in DEVICES for name in (device.name, *device.other_names)}
_BY_PRODUCT = {product: device for device in DEVICES for product in device.products}


def find_device(name: str) -> Device | None:
    """Returns the device that a name means, whatever its case: ``h100``, ``A100-80GB``."""
    return _BY_NAME.get(name.lower().replace("_", "-").replace(" ", "-"))


def device_of_product(product: str) -> Device | None:
    """Returns the device that a node label names; None if it is not known.

    Shared devices have a suffix. A MIG instance is not the device: its name has a part for that.
    """
    return _BY_PRODUCT.get(product.removesuffix("-SHARED"))


def device(name: str) -> Device:
    """Returns the device of a profile; its name was checked when the catalogue was read."""
    return _BY_NAME[name]


def device_names() -> list[str]:
    """Returns the names of all devices, as profiles write them."""
    return [device.name for device in DEVICES]
