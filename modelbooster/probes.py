"""Serves ``/livez`` and ``/readyz`` to the kubelet, and ``/metrics`` to Prometheus.

They have their own port with plain HTTP, so that neither the certificate nor the load of the
admission port affects probes. The application is a table of three pages, because importing a
framework takes a twentieth of the controller's start, which serves nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from urllib.parse import parse_qs

from prometheus_client.exposition import choose_encoder

from app.metrics import Metrics
from app.values.value import hashable_value
from webhook.reply import PLAIN_TEXT, Refusal, Reply
from webhook.request import Application, Message, Receive, Send, send_reply


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
) -> Application:
    """Returns the application that answers probes and scrapes.

    Args:
        metrics: the metrics of the process.
        ready: checks of ``/readyz``.
        live: checks of ``/livez``, which fail only if a restart would help. They must not depend on
            the API server. A response also shows that the event loop is not blocked.
    """
    pages: dict[str, Callable[[Message], Reply]] = {
        "/livez": lambda scope: _report("livez", live, scope),
        "/readyz": lambda scope: _report("readyz", ready, scope),
        "/metrics": lambda scope: _scrape(metrics, scope),
    }

    async def app(scope: Message, _receive: Receive, send: Send) -> None:
        page = pages.get(scope["path"])
        if page is None:
            reply = Refusal(404, "Not Found").reply()
        elif scope["method"] not in ("GET", "HEAD"):
            reply = Refusal(405, "Method Not Allowed", allow="GET, HEAD").reply()
        else:
            reply = page(scope)
        await send_reply(reply, send)

    return app


def _report(name: str, checks: Sequence[ReadyCheck], scope: Message) -> Reply:
    """Answers like the API server: ``ok``, or all checks if one fails or ``?verbose`` is set."""
    faults = [(check.name, check.fault()) for check in checks]
    failed = any(fault is not None for _, fault in faults)
    query = parse_qs(scope["query_string"].decode(), keep_blank_values=True)
    if not failed and "verbose" not in query:
        return Reply(200, PLAIN_TEXT, b"ok")
    lines = [
        f"[-]{check} failed: {fault}" if fault is not None else f"[+]{check} ok"
        for check, fault in faults
    ]
    verdict = f"{name} check {'failed' if failed else 'passed'}"
    text = "\n".join([*lines, verdict, ""])
    return Reply(503 if failed else 200, PLAIN_TEXT, text.encode())


def _scrape(metrics: Metrics, scope: Message) -> Reply:
    """Answers in the format that the client accepts."""
    accepted = dict(scope["headers"]).get(b"accept", b"")
    encode, content_type = choose_encoder(accepted.decode("latin-1"))
    headers = ((b"content-type", content_type.encode()),)
    return Reply(200, headers, encode(metrics.registry))
