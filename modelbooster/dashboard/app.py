"""The routes of the dashboard: one page, and the fleet as JSON. Nothing can be changed with them.

The page may load nothing and run nothing but its own script and style, whose hashes are in the
Content-Security-Policy. Requests whose Host header is another name are rejected, so that no web
page can read the fleet through a name that it points at this address (DNS rebinding).
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Awaitable, Callable, Collection
from hashlib import sha256
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from modelbooster.dashboard.source import Source

PAGE = Path(__file__).with_name("page.html")

LOCAL_HOSTS = ("localhost", "127.0.0.1", "[::1]")

_INLINE = re.compile(rb"<(script|style)>(.*?)</\1>", re.DOTALL)
_PORT = re.compile(r":\d+\Z")


def dashboard_app(source: Source, hosts: Collection[str] = LOCAL_HOSTS) -> Starlette:
    """Returns the application.

    Args:
        source: reads the fleet.
        hosts: names by which the dashboard may be called, without port.
    """
    page = PAGE.read_bytes()
    headers = security_headers(page)
    allowed = {host.lower() for host in hosts}

    async def index(_request: Request) -> Response:
        return Response(page, media_type="text/html", headers=headers)

    async def fleet(request: Request) -> Response:
        snapshot = await source.current()
        tags = {**headers, "ETag": snapshot.etag}
        if request.headers.get("if-none-match") == snapshot.etag:
            return Response(status_code=304, headers=tags)
        return Response(snapshot.body, media_type="application/json", headers=tags)

    def checked(answer: Callable[[Request], Awaitable[Response]]) -> Callable[..., object]:
        async def check(request: Request) -> Response:
            host = _PORT.sub("", request.headers.get("host", "")).lower()
            if host not in allowed:
                text = (
                    "this name is not allowed; open the address that model-booster dashboard "
                    "printed, or allow the name with --allow-host\n"
                )
                return PlainTextResponse(text, status_code=421, headers=headers)
            return await answer(request)

        return check

    return Starlette(
        routes=[
            Route("/", checked(index), methods=["GET"]),
            Route("/fleet.json", checked(fleet), methods=["GET"]),
        ]
    )


def security_headers(page: bytes) -> dict[str, str]:
    """Returns the headers of each answer.

    Args:
        page: the page, with its script and style.
    """
    hashes: dict[bytes, list[str]] = {b"script": [], b"style": []}
    for kind, text in _INLINE.findall(page):
        hashes[kind].append(f"'sha256-{b64encode(sha256(text).digest()).decode()}'")
    policy = "; ".join(
        [
            "default-src 'none'",
            f"script-src {' '.join(hashes[b'script'])}",
            f"style-src {' '.join(hashes[b'style'])}",
            "connect-src 'self'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        ]
    )
    return {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cache-Control": "no-store",
    }
