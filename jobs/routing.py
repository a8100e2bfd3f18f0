"""Addresses of WebSockets."""

from django.urls import re_path

from accounts.ids import PATTERN
from jobs.consumers import EventsConsumer, RunConsumer

websocket_urlpatterns = [
    re_path(rf"^ws/runs/(?P<run>{PATTERN})/$", RunConsumer.as_asgi()),
    re_path(r"^ws/events/$", EventsConsumer.as_asgi()),
]
