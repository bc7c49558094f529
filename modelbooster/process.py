"""A process: its parts, run together until it is told to end.

One event loop, one task group: if a part ends with an error, or ends at all before its time, the
others are cancelled and the process ends with it, to be started anew. SIGTERM is handled once,
here: readiness goes false, the parts finish what they have begun, the lease is released. A second
signal ends the process at once; being killed at any moment does no harm either.
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import signal
from collections.abc import Coroutine, Iterator
from contextlib import suppress
from enum import Flag, auto
from typing import TYPE_CHECKING, Any

from app.errors import OperatorError, UsageError
from app.kube import Kube, connect
from app.log import configure
from app.metrics import Metrics
from app.version import program_version
from modelbooster.parts.probes import Probes
from modelbooster.probes import ReadyCheck
from modelbooster.settings import Settings

if TYPE_CHECKING:
    from controller.election.leadership import Leadership
    from modelbooster.parts.controller import ControllerPart
    from modelbooster.parts.webhook import WebhookPart

log = logging.getLogger(__name__)

FAILED = 1
REFUSED_SECONDS = 60.0
"""After so long without valid credentials somebody must look."""

_M_MMAP_THRESHOLD = -3
"""Of mallopt(3)."""

_LARGE_BYTES = 128 * 1024

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Part(Flag):
    """What a process does."""

    WEBHOOK = auto()
    CONTROLLER = auto()


def start(settings: Settings, part: Part, kubeconfig: str | None = None) -> int:
    """Runs a process to its end; returns its exit code.

    Args:
        settings: what was chosen.
        part: what it does.
        kubeconfig: path of one; None: what the environment offers.

    Raises:
        UsageError: it was set up in a way that cannot work.
    """
    sink = configure(settings.log_level, settings.log_format)
    give_back_large_blocks()
    try:
        _on_a_loop(_run(settings, part, kubeconfig))
    except (BaseExceptionGroup, OperatorError) as exc:
        return report(exc)
    finally:
        sink.close()
    return 0


async def _run(settings: Settings, part: Part, kubeconfig: str | None) -> None:
    if "/" in settings.host_path_prefixes:
        log.warning(
            "every folder of every node may be mounted (MODELBOOSTER_HOST_PATH_PREFIXES=/):"
            " whoever may create ModelBoosters can take over nodes"
        )
    stopping = asyncio.Event()
    _heed_signals(stopping)
    metrics = Metrics(program_version())
    leadership = _leadership(settings, metrics) if Part.CONTROLLER in part else None
    guard = leadership.guard if leadership is not None else None
    async with connect(
        kubeconfig,
        qps=settings.kube_api_qps,
        burst=settings.kube_api_burst,
        guard=guard,
        observe=metrics.observe_request,
    ) as kube:
        parts = [*_parts(kube, settings, metrics, part, leadership)]
        ready = [
            ReadyCheck("shutdown", lambda: "told to end" if stopping.is_set() else None),
            ReadyCheck("credentials", lambda: _refused(kube)),
            *(check for each in parts for check in each.ready),
        ]
        live = [check for each in parts for check in each.live]
        probes = Probes(settings, metrics, ready, live)
        async with asyncio.TaskGroup() as group:
            probing = group.create_task(probes.run())
            work = [group.create_task(_whole(each.run(stopping), stopping)) for each in parts]
            await asyncio.wait(work)
            probing.cancel()
    log.info("ended in order")


# What only one of the two needs is not loaded for the other: 15 MiB, and a third of a second.


def _leadership(settings: Settings, metrics: Metrics) -> Leadership:
    from modelbooster.parts.controller import leadership_of

    return leadership_of(settings, metrics)


def _parts(
    kube: Kube, settings: Settings, metrics: Metrics, part: Part, leadership: Leadership | None
) -> Iterator[WebhookPart | ControllerPart]:
    if Part.WEBHOOK in part:
        from modelbooster.parts.webhook import WebhookPart

        yield WebhookPart(kube.unguarded(), settings, metrics)
    if leadership is not None:
        from modelbooster.parts.controller import ControllerPart

        yield ControllerPart(kube, settings, metrics, leadership)


def _refused(kube: Kube) -> str | None:
    if kube.refused_seconds <= REFUSED_SECONDS:
        return None
    return f"the API server has not known us for {kube.refused_seconds:.0f} s"


async def _whole(work: Coroutine[Any, Any, None], stopping: asyncio.Event) -> None:
    """Runs a part, which may end only when it was told to."""
    await work
    if not stopping.is_set():
        raise RuntimeError("a part of the process has ended though nobody told it to")


def _heed_signals(stopping: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()

    def heed(received: signal.Signals) -> None:
        if stopping.is_set():
            os._exit(128 + received)
        log.info("%s: ending; a second signal ends at once", received.name)
        stopping.set()

    for number in SIGNALS:
        loop.add_signal_handler(number, heed, number)


def give_back_large_blocks() -> None:
    """Lets the C library give large blocks back to the system as soon as they are free.

    uvloop takes 256 KiB for each TLS connection. Once the first of these is free again, glibc takes
    such blocks from its heap, where every small one that lies behind them keeps them: the process
    stays as large as it was with the most connections at a time, and pieces are lost in between.
    """
    with suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)


def _on_a_loop(work: Coroutine[Any, Any, None]) -> None:
    try:
        import uvloop
    except ImportError:  # not made for this machine
        asyncio.run(work)
    else:
        uvloop.run(work)


def _errors(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    """Yields every error of a group, in the order in which they were raised."""
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _errors(error)
        else:
            yield error


def report(error: BaseException) -> int:
    """Logs why the process ends; returns its exit code.

    Args:
        error: what ended it. The first error of a group is the reason, and the others are logged.

    Raises:
        UsageError: it was set up in a way that cannot work.
    """
    if isinstance(error, BaseExceptionGroup):
        error, *others = _errors(error)
        for other in others:
            log.error("another part of the process failed as well", exc_info=other)
    if isinstance(error, UsageError):
        raise error
    if isinstance(error, OperatorError):
        log.error("the process ends: %s", error)
    else:
        log.error("the process ends: this is a bug", exc_info=error)
    return FAILED
