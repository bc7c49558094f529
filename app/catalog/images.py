"""The images of the engines that templates use, by the resource that counts the devices.

Each is pinned to a release, so that a ModelBooster means the same tomorrow. The release is the
newest that ``app.engines`` has a table for and that the project publishes an image of.
"""

from __future__ import annotations

from app.catalog.devices import AMD, ASCEND, CPU, NVIDIA, device
from app.catalog.facts.fields import EngineName
from app.catalog.facts.serving import Profile
from app.catalog.schema import ModelFacts
from app.engines.image import release_of_image
from app.engines.release import Release

IMAGES: dict[tuple[EngineName, str], str] = {
    ("vllm", NVIDIA): "vllm/vllm-openai:v0.33.0",
    ("vllm", AMD): "vllm/vllm-openai-rocm:v0.33.0",
    ("vllm", ASCEND): "quay.io/ascend/vllm-ascend:v0.18.0",
    ("vllm", CPU): "vllm/vllm-openai-cpu:v0.33.0",
    ("sglang", NVIDIA): "lmsysorg/sglang:v0.5.23",
}
"""vLLM's own images, and those of its plugin for Ascend, which follow later."""


def image_of(model: ModelFacts, profile: Profile, engine: EngineName) -> str:
    """Returns the image for a profile; the model's own one, if it needs another."""
    special = model.engines[engine].image
    resource = device(profile.device).resource
    if special is not None and resource == NVIDIA:
        return special
    return IMAGES[engine, resource]


def release_in(engine: EngineName, image: str) -> Release:
    """Returns the release of an image of the catalogue, which always tells it."""
    found = release_of_image(engine, image)
    if found is None:
        raise ValueError(f"{image} does not tell its release")
    return found
