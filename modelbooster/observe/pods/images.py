"""Explains what a container runtime says of an image that it cannot pull."""

from __future__ import annotations

import re

from modelbooster.observe.explanation import Explanation

_CAUSES: tuple[tuple[str, str, str], ...] = (
    (
        r"not found|manifest unknown|does not exist|NotFound",
        "the registry has no such image",
        "correct the name or the tag in image of the worker",
    ),
    (
        r"no basic auth|unauthorized|authorization failed|denied|forbidden|40[13]\b",
        "the registry refuses the pull",
        "add a pull secret for it to the service account default of namespace {namespace}",
    ),
    (
        r"toomanyrequests|429|rate limit",
        "the registry limits the rate of pulls",
        "wait, or pull with an account or through a mirror",
    ),
    (
        r"no space left",
        "the node has no space left for the image",
        "free or enlarge the disk of the node",
    ),
    (
        r"no match for platform|exec format|no matching manifest",
        "the image does not exist for the processor of the node",
        "use an image for that platform, or choose other nodes with affinity",
    ),
    (
        r"no such host|dial tcp|i/o timeout|connection refused|deadline exceeded|TLS|x509",
        "the node cannot reach the registry",
        "check network, proxy and certificates of the node, or use a mirror",
    ),
)
"""Texts of containerd and CRI-O, with cause and remedy; the first that matches counts."""


def explain_image(cause: str, detail: str, namespace: str) -> Explanation | None:
    """Returns why an image cannot be pulled; None if the runtime does not tell.

    Args:
        cause: which image of which container, and that it cannot be pulled.
        detail: the message of the container runtime.
        namespace: namespace of the pod.
    """
    for pattern, why, todo in _CAUSES:
        if re.search(pattern, detail, re.IGNORECASE):
            return Explanation(f"{cause}: {why}", todo.format(namespace=namespace))
    return None
