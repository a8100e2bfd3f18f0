"""Which WebSocket handshakes are let through."""

from __future__ import annotations

from typing import Any

from channels.security.websocket import AllowedHostsOriginValidator


class OriginOrToken:
    """Browsers must come from a page of ours; a script that shows a token needs no Origin.

    A foreign page can make a browser send cookies along, but never an Authorization header.
    """

    def __init__(self, application: Any) -> None:
        self._application = application
        self._checked = AllowedHostsOriginValidator(application)

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> Any:
        shows_token = any(name == b"authorization" for name, _ in scope["headers"])
        return await (self._application if shows_token else self._checked)(scope, receive, send)
