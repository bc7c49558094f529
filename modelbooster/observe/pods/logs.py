"""Reads the logs of containers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import aclosing

from app.errors import ApiError, Forbidden, Unreachable
from app.kube import Kube
from app.values.meta import Object, uid_of
from controller.status.pod_records import POD
from modelbooster.observe.pods.findings import LogRef, logs_wanted

TAIL_LINES = 200
"""How many lines are read to find a cause."""

MAX_TAIL_BYTES = 256 * 1024
"""How much of their end is kept; progress bars make long lines."""

MAX_PODS = 20
"""Of how many pods logs are read, however many there are."""

_READ_SECONDS = 10.0
_FOLLOW_SECONDS = 24 * 3600.0


async def stream_log(
    kube: Kube,
    pod: Object,
    container: str,
    *,
    follow: bool = False,
    previous: bool = False,
    tail: int | None = None,
    since_seconds: int | None = None,
) -> AsyncIterator[bytes]:
    """Yields the pieces of the log of a container.

    Args:
        kube: the API server, which asks the node of the pod.
        pod: the pod.
        container: name of the container.
        follow: whether to go on with what the container prints from now on.
        previous: whether to read the log of the instance before the running one.
        tail: how many of the last lines; None for all.
        since_seconds: only lines that are at most that old; None for all.

    Raises:
        ApiError: there is no such log, or the user may not read it.
        Unreachable: the API server or the node does not answer.
    """
    metadata = pod["metadata"]
    query = {
        "container": container,
        "follow": "true" if follow else "",
        "previous": "true" if previous else "",
        "tailLines": "" if tail is None else str(tail),
        "sinceSeconds": "" if since_seconds is None else str(since_seconds),
    }
    path = f"{POD.path(metadata['namespace'], metadata['name'])}/log"
    seconds = _FOLLOW_SECONDS if follow else _READ_SECONDS * 6
    pieces = kube.stream(path, query, seconds=seconds)
    async with aclosing(pieces):
        async for piece in pieces:
            yield piece


async def read_tails(
    kube: Kube, pods: Iterable[Object], told: Collection[str] = ()
) -> tuple[dict[str, dict[LogRef, str]], list[str]]:
    """Reads the ends of the logs that tell more about pods.

    Args:
        kube: the API server.
        pods: the pods; only the first ``MAX_PODS`` that need it are read.
        told: uids of the pods whose progress the status of their ModelBooster tells.

    Returns:
        The logs by uid of the pod, and a sentence for each thing that could not be read.
    """
    found = ((pod, logs_wanted(pod, is_told=uid_of(pod) in told)) for pod in pods)
    wanted = [(pod, refs) for pod, refs in found if refs][:MAX_PODS]
    jobs = [(pod, ref) for pod, refs in wanted for ref in refs]
    results = await asyncio.gather(*(_tail(kube, pod, ref) for pod, ref in jobs))
    logs: dict[str, dict[LogRef, str]] = {}
    notes: dict[str, None] = {}
    for (pod, ref), (text, note) in zip(jobs, results, strict=True):
        if text:
            logs.setdefault(uid_of(pod), {})[ref] = text
        if note:
            notes[note] = None
    return logs, list(notes)


async def _tail(kube: Kube, pod: Object, ref: LogRef) -> tuple[str, str]:
    """Returns the end of a log, and a sentence if the user may not read it."""
    end = b""
    namespace = pod["metadata"]["namespace"]
    try:
        async with asyncio.timeout(_READ_SECONDS):
            pieces = stream_log(kube, pod, ref.container, previous=ref.previous, tail=TAIL_LINES)
            async for piece in pieces:
                end = (end + piece)[-MAX_TAIL_BYTES:]
    except Forbidden:
        return "", f"you may not read logs in namespace {namespace} (pods/log); they are left out"
    except (ApiError, Unreachable, TimeoutError):
        # The container has not started, or its node is away. The status of the pod has to do.
        return end.decode(errors="replace"), ""
    return end.decode(errors="replace"), ""
