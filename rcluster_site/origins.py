"""Which WebSocket handshakes are let through."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from channels.security.websocket import AllowedHostsOriginValidator, WebsocketDenier


class OriginOrToken:
    """Browsers must come from a page of this very portal; a script that shows a token needs no Origin.

    A foreign page can make a browser send cookies along (those know no ports), but never an
    Authorization header.
    """

    def __init__(self, application: Any) -> None:
        self._application = application
        self._known_hosts = AllowedHostsOriginValidator(application)

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> Any:
        headers = dict(scope["headers"])
        if b"authorization" in headers:
            return await self._application(scope, receive, send)
        # Host and port as the browser wrote them, whatever proxy stands between.
        origin = urlsplit(headers.get(b"origin", b"").decode("latin-1")).netloc.lower()
        host = headers.get(b"host", b"").decode("latin-1").lower()
        if not origin or origin != host:
            return await WebsocketDenier()(scope, receive, send)
        return await self._known_hosts(scope, receive, send)
