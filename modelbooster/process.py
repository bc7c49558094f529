"""A process: runs its parts until it gets a signal.

All parts share one event loop and one task group. If a part fails or ends early, the others are
cancelled and the process ends; the kubelet restarts it. On SIGTERM, readiness becomes false, the
parts finish their work, and the lease is released. A second signal ends the process immediately.
A kill at any moment does no harm.
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
from app.version import VERSION
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
"""The process becomes unready after the API server has rejected its credentials for this long."""

_M_MMAP_THRESHOLD = -3
"""From mallopt(3)."""

_LARGE_BYTES = 128 * 1024

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Part(Flag):
    """The parts of a process."""

    WEBHOOK = auto()
    CONTROLLER = auto()


def start(settings: Settings, part: Part, kubeconfig: str | None = None) -> int:
    """Runs a process to its end; returns its exit code.

    Args:
        settings: the settings.
        part: the parts to run.
        kubeconfig: path of a kubeconfig file; None for the default of the environment.

    Raises:
        UsageError: the settings or the environment are invalid.
    """
    sink = configure(settings.log_level, settings.log_format)
    return_large_blocks()
    try:
        _run_on_loop(_run(settings, part, kubeconfig))
    except (BaseExceptionGroup, OperatorError) as exc:
        return report(exc)
    finally:
        sink.close()
    return 0


async def _run(settings: Settings, part: Part, kubeconfig: str | None) -> None:
    if "/" in settings.host_path_prefixes:
        log.warning(
            "every folder of every node may be mounted (MODELBOOSTER_HOST_PATH_PREFIXES=/):"
            " anyone who can create ModelBoosters can take over nodes"
        )
    stopping = asyncio.Event()
    _handle_signals(stopping)
    metrics = Metrics(VERSION)
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
            work = [group.create_task(_run_part(each.run(stopping), stopping)) for each in parts]
            await asyncio.wait(work)
            probing.cancel()
    log.info("process ended normally")


# Imported only by the process that needs it, which saves 15 MiB and a third of a second.


def load(part: Part) -> None:
    """Imports the modules of parts, which ``start`` would do otherwise."""
    if Part.WEBHOOK in part:
        import modelbooster.parts.webhook
    if Part.CONTROLLER in part:
        import modelbooster.parts.controller  # noqa: F401


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


async def _run_part(work: Coroutine[Any, Any, None], stopping: asyncio.Event) -> None:
    """Runs a part and fails if the part ends before the process is stopping."""
    await work
    if not stopping.is_set():
        raise RuntimeError("a part of the process ended unexpectedly")


def _handle_signals(stopping: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()

    def handle(received: signal.Signals) -> None:
        if stopping.is_set():
            os._exit(128 + received)
        log.info("%s: ending; a second signal ends at once", received.name)
        stopping.set()

    for number in SIGNALS:
        loop.add_signal_handler(number, handle, number)


def return_large_blocks() -> None:
    """Makes the C library return large blocks to the system as soon as they are freed.

    uvloop allocates 256 KiB for each TLS connection. After the first such block is freed, glibc
    raises its threshold and allocates these blocks on the heap, where later small blocks pin them.
    The process would keep the memory of its highest number of connections.
    """
    with suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)


def _run_on_loop(work: Coroutine[Any, Any, None]) -> None:
    try:
        import uvloop
    except ImportError:  # not available for this platform
        asyncio.run(work)
    else:
        uvloop.run(work)


def _errors(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    """Yields all errors of a group, in the order in which they were raised."""
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _errors(error)
        else:
            yield error


def report(error: BaseException) -> int:
    """Logs why the process ends; returns its exit code.

    Args:
        error: what ended the process. The first error of a group is the reason; all are logged.

    Raises:
        UsageError: the settings or the environment are invalid.
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
