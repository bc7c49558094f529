"""The profile that is chosen for devices, as users write them and as nodes tell them."""

from __future__ import annotations

from typing import Any

import pytest

from app.catalog.choosing.choice import NothingFits, choose
from app.catalog.choosing.offers import Offer, offers_of_nodes, parse_gpu
from app.catalog.devices import device
from app.catalog.templates import find_template, templates
from app.errors import UsageError

QWEN = find_template("Qwen/Qwen3-32B")
R1 = find_template("deepseek-ai/DeepSeek-R1")


@pytest.mark.parametrize(
    ("text", "name", "count"),
    [
        ("h100", "h100-80gb", None),
        ("2xH100", "h100-80gb", 2),
        ("h100:2", "h100-80gb", 2),
        ("A100-80GB*4", "a100-80gb", 4),
        ("8 x L40S", "l40s-48gb", 8),
        ("l4x8", "l4-24gb", 8),
        ("mi300x", "mi300x-192gb", None),
        ("4xmi300x", "mi300x-192gb", 4),
    ],
)
def test_gpus_as_users_write_them(text: str, name: str, count: int | None) -> None:
    offer = parse_gpu(text)
    assert (offer.device.name, offer.per_node) == (name, count)


@pytest.mark.parametrize(
    ("text", "said"),
    [("h1000", "did you mean h100-80gb?"), ("0xh100", "at least 1"), ("", "known")],
)
def test_unknown_gpus_get_the_nearest_name(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said.replace("?", r"\?")):
        parse_gpu(text)


def test_a_profile_of_the_template_comes_first() -> None:
    choice = choose(QWEN, [parse_gpu("4xa100-80gb")])
    assert (choice.profile.name, choice.breakdown.fits) == ("a100-80gb-x2", True)
    assert choice.profile in QWEN.profiles


def test_another_device_gets_a_profile_that_fits() -> None:
    choice = choose(QWEN, [parse_gpu("4xrtx4090")])
    assert (choice.profile.devices, choice.breakdown.fits) == (4, True)
    assert choice.profile not in QWEN.profiles


def test_the_smallest_devices_are_chosen() -> None:
    offers = [parse_gpu("8xh200"), parse_gpu("2xl4")]
    assert choose(find_template("Qwen3-8B"), offers).profile.device == "l4-24gb"


def test_nothing_fits_says_what_is_missing_and_the_way_out() -> None:
    with pytest.raises(NothingFits, match=r"GiB of weights.*it needs for example 8 x NVIDIA H200"):
        choose(R1, [parse_gpu("8xh100")])


def test_too_long_a_context_is_refused() -> None:
    with pytest.raises(UsageError, match="more than the 40960 tokens"):
        choose(QWEN, None, context=100_000)


def test_every_template_has_a_choice_of_its_own() -> None:
    for template in templates():
        choice = choose(template, None)
        assert choice.profile == template.profiles[0]
        for engine in template.engines:
            assert choose(template, None, engine=engine).engine == engine


def node(product: str, count: str, **labels: str) -> dict[str, Any]:
    return {
        "metadata": {"labels": {"nvidia.com/gpu.product": product, **labels}},
        "status": {"allocatable": {"cpu": "64", "nvidia.com/gpu": count}},
    }


def test_nodes_tell_their_devices() -> None:
    nodes = [
        *[node("NVIDIA-H100-80GB-HBM3", "8")] * 2,
        node("NVIDIA-L4-SHARED", "4"),
        node("NVIDIA-A100-SXM4-80GB-MIG-1g.10gb", "7"),
        {**node("NVIDIA-H200", "8"), "spec": {"unschedulable": True}},
        {"metadata": {}, "status": {"allocatable": {"huawei.com/ascend-1980": "8"}}},
        {"metadata": {"name": "cpu"}},
    ]
    assert offers_of_nodes(nodes) == [
        Offer(device("h100-80gb"), 8, 2),
        Offer(device("ascend-910b-64gb"), 8, 1),
        Offer(device("l4-24gb"), 4, 1),
    ]
    assert choose(R1, offers_of_nodes(nodes)).profile.name == "h100-80gb-x8-pods2"
