"""Serves ``/livez`` and ``/readyz`` to the kubelet, and ``/metrics`` to Prometheus.

They have their own port with plain HTTP, so that neither the certificate nor the load of the
admission port affects probes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from app.metrics import Metrics
from app.values.value import hashable_value


@hashable_value
class ReadyCheck:
    """One condition of readiness or liveness.

    Args:
        name: its name in the output of ``?verbose``.
        fault: returns why the check fails, None if it passes; must not block.
    """

    name: str
    fault: Callable[[], str | None]


def observe_app(
    metrics: Metrics, ready: Sequence[ReadyCheck], live: Sequence[ReadyCheck] = ()
) -> Starlette:
    """Returns the application that answers probes and scrapes.

    Args:
        metrics: the metrics of the process.
        ready: checks of ``/readyz``.
        live: checks of ``/livez``, which fail only if a restart would help. They must not depend on
            the API server. A response also shows that the event loop is not blocked.
    """

    async def livez(request: Request) -> Response:
        return _report("livez", live, request)

    async def readyz(request: Request) -> Response:
        return _report("readyz", ready, request)

    async def scrape(request: Request) -> Response:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(metrics.registry), headers={"Content-Type": content_type})

    # Starlette instead of FastAPI saves the controller 6 MiB and a third of a second at start.
    return Starlette(
        routes=[Route("/livez", livez), Route("/readyz", readyz), Route("/metrics", scrape)]
    )


def _report(name: str, checks: Sequence[ReadyCheck], request: Request) -> Response:
    """Answers like the API server: ``ok``, or all checks if one fails or ``?verbose`` is set."""
    faults = [(check.name, check.fault()) for check in checks]
    failed = any(fault is not None for _, fault in faults)
    if not failed and "verbose" not in request.query_params:
        return PlainTextResponse("ok")
    lines = [
        f"[-]{check} failed: {fault}" if fault is not None else f"[+]{check} ok"
        for check, fault in faults
    ]
    verdict = f"{name} check {'failed' if failed else 'passed'}"
    return PlainTextResponse("\n".join([*lines, verdict, ""]), status_code=503 if failed else 200)
