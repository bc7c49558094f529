"""Which release of an engine an image has, as far as its reference tells."""

from __future__ import annotations

import re

from app.engines.release import Release, plain_release, read_release

_NAMES = {
    "vllm": r"vllm-(openai|cpu-release-repo|tpu)(-[a-z0-9-]+)?",
    "sglang": r"sglang",
}
"""Last parts of the repositories that the engines' own projects publish, and of their mirrors."""

_USUAL_NAMES = {"vllm": "vllm-openai", "sglang": "sglang"}
"""The most frequent of them."""

_ASCEND = r"vllm-ascend(-[a-z0-9-]+)?"
"""A plugin for vLLM that is released under the number of the vLLM that it needs."""

_TAG = r"v?(\d+\.\d+\.\d+(?:\.\d+)?(?:\.?(?:post|rc)\d+)?)(?:[-_+.][\w.+-]*)?"
_PRE_RELEASE = r"rc[0-9]+$"
_INNER = r"(?:^|[-_])(vllm|sglang)[-_]v?([0-9]+\.[0-9]+\.[0-9]+)(?![0-9.])"
"""A tag that names the engine with its release, as those of ``rocm/vllm`` do."""


def engine_of_image(image: str) -> str:
    """Returns the engine that an image seems to have: ``sglang`` if it says so, else ``vllm``."""
    return "sglang" if "sglang" in image.partition("@")[0].lower() else "vllm"


def release_of_image(engine: str, image: str) -> Release | None:
    """Returns the release that an image's reference tells.

    The tag of a well-known repository tells it, whatever registry mirrors it, and so does a tag
    that names engine and release. ``latest``, nightly tags, digests and repositories of one's own
    tell nothing.

    Args:
        engine: ``vllm`` or ``sglang``.
        image: reference of the image.
    """
    name, _, _ = image.partition("@")
    path, colon, tag = name.rpartition(":")
    if not colon or "/" in tag:
        return None
    last = path.rpartition("/")[2]
    if last == _USUAL_NAMES.get(engine) and (found := plain_release(tag)) is not None:
        return found
    for inner, number in re.findall(_INNER, tag) if engine in tag else ():
        if inner == engine:
            return read_release(number)
    known = _NAMES.get(engine)
    ascend = False
    if known is None or re.fullmatch(known, last) is None:
        ascend = engine == "vllm" and re.fullmatch(_ASCEND, last) is not None
        if not ascend:
            return None
    match = re.fullmatch(_TAG, tag, re.ASCII)
    if match is None:
        return None
    # A release candidate of the plugin is one of the plugin only.
    return read_release(re.sub(_PRE_RELEASE, "", match[1]) if ascend else match[1])
