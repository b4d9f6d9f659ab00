"""Keeps the local pages local: other sites, other names and other methods are refused.

A page that listens on loopback can still be asked for by any site that is open in the same browser, by a
form, an image, a script, or a name that was made to point here (DNS rebinding). So the Host header must
name this server, requests that another origin caused are refused (Origin, and Fetch Metadata's
Sec-Fetch-Site, https://www.w3.org/TR/fetch-metadata/), and nothing but GET and HEAD is answered.
"""

from __future__ import annotations

import html
from collections.abc import Awaitable, Callable
from urllib.parse import quote

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

METHODS = ("GET", "HEAD")
_OWN_SITES = ("same-origin", "none")
POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
"""No script at all, and nothing of other servers."""
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class LocalOnly:
    """ASGI middleware that refuses what does not come from this server's own pages or from its user."""

    def __init__(self, app: ASGIApp, port: int) -> None:
        """Wraps an application.

        Args:
            app: the application.
            port: that the server listens on.
        """
        self.app = app
        names = ("127.0.0.1", "localhost", "[::1]")
        self._hosts = {f"{name}:{port}" for name in names} | (set(names) if port == 80 else set())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request, or hands it on; every answer carries the headers."""
        if scope["type"] != "http":
            return
        refusal = self._refuse(HTTPConnection(scope))
        await (refusal or self.app)(scope, receive, _with_headers(send))

    def _refuse(self, request: HTTPConnection) -> Response | None:
        headers = request.headers
        host = headers.get("host", "").lower()
        if host not in self._hosts or len(headers.getlist("host")) != 1:
            text = "This server answers to 127.0.0.1 and localhost only, with its port."
            return PlainTextResponse(text, 421)
        if request.scope["method"] not in METHODS:
            text = "These pages are for reading: only GET and HEAD are answered."
            return PlainTextResponse(text, 405, {"Allow": ", ".join(METHODS)})
        if any(origin.lower() != f"http://{host}" for origin in headers.getlist("origin")):
            return PlainTextResponse("Another site asked for this, so it is refused.", 403)
        if any(site.lower() not in _OWN_SITES for site in headers.getlist("sec-fetch-site")):
            return _refuse_site(request, headers)
        return None


def _refuse_site(request: HTTPConnection, headers: Headers) -> Response:
    """Refuses a request that another site caused; whoever followed a link may go on by a click."""
    if headers.get("sec-fetch-mode") != "navigate" or headers.get("sec-fetch-dest") != "document":
        return PlainTextResponse("Another site asked for this, so it is refused.", 403)
    query = request.scope.get("query_string", b"").decode("latin-1")
    path = "/" + quote(request.scope["path"]).lstrip("/")
    address = html.escape(f"{path}{'?' + query if query else ''}")
    page = (
        '<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>Another site led here</title>'
        "<main><h1>Another site led here</h1><p>These pages are opened from their own links only. "
        f'<a href="{address}">Go on to the page</a></p></main></html>'
    )
    return Response(page, 403, media_type="text/html")


def _with_headers(send: Send) -> Callable[[Message], Awaitable[None]]:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers[name] = value
            headers.setdefault("Content-Security-Policy", POLICY)
        await send(message)

    return send_with_headers
