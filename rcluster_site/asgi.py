"""HTTP and WebSockets in one ASGI application."""

import os

import django
from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "rcluster_site.settings")
django.setup(set_prefix=False)

from files.gate import UploadGate  # noqa: E402 - Django's apps must be loaded first
from jobs.api.welcome import why_unwanted  # noqa: E402
from jobs.routing import websocket_urlpatterns  # noqa: E402
from rcluster_site.handler import Handler  # noqa: E402
from rcluster_site.origins import OriginOrToken  # noqa: E402
from rcluster_site.static import StaticFiles  # noqa: E402

application = ProtocolTypeRouter(
    {
        # Django would spool any body to disk before it asks who sends it.
        "http": StaticFiles(UploadGate(Handler(), why_unwanted)),  # type: ignore[arg-type] # Django and asgiref spell ASGI differently
        # Origin outermost: a page of another site never gets as far as the session.
        "websocket": OriginOrToken(AuthMiddlewareStack(URLRouter(websocket_urlpatterns))),
    }
)
