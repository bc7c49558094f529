"""Warnings about the images of engines."""

from __future__ import annotations

import re
from collections.abc import Iterator

from app.validation.inputs import RuleInputs

_MOVING = (
    r"(?:^|[-_.])"
    r"(?:latest|nightly|main|master|dev|devel|edge|stable|canary|release)"
    r"(?=[-_.]|\Z)"
)
"""Words of tags that are given to another image from time to time."""

_RELEASE = re.compile(r"\d+\.\d|\d{8}|[0-9a-f]{7,}")
"""What makes a tag stay: a release, a date or a commit."""


def images_stay_the_same(inputs: RuleInputs) -> Iterator[str]:
    """A tag that moves lets the pods of one model run different engines."""
    for _, worker in inputs.served_workers:
        if (tag := moving_tag(worker.image)) is not None:
            has = f'tag "{tag}" moves' if tag else "without a tag it is latest, which moves"
            yield (
                f"{worker.path}.image: {has}, so pods that start later may run another engine; "
                "write the tag of a release, or a digest"
            )


def moving_tag(image: str) -> str | None:
    """Returns the tag of an image that moves, ``""`` if it has none; None if it stays."""
    if not image or "@" in image:
        return None
    _, colon, tag = image.rpartition("/")[2].partition(":")
    if not colon:
        return ""
    # Most tags hold a release, which is found at once.
    return tag if not _RELEASE.search(tag) and re.search(_MOVING, tag.lower()) else None
