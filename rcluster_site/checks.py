"""What Django's check framework should know about this site: run by ./rcluster lint and at set-up."""

from __future__ import annotations

import zoneinfo
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register

from jobs import site
from jobs.services.checks import SMALLEST_CPUS, SMALLEST_MEMORY


@register()
def settings_are_usable(**_: Any) -> list[CheckMessage]:
    """Mistakes that would otherwise surface in the middle of somebody's work."""
    found: list[CheckMessage] = []
    if settings.RCLUSTER_BACKEND not in (*site.NAMES, "auto"):
        names = ", ".join((*site.NAMES, "auto"))
        found.append(
            Error(
                f"There is no backend {settings.RCLUSTER_BACKEND!r}.",
                hint=f"Set RCLUSTER_BACKEND to one of {names}.",
                id="rcluster.E001",
            )
        )
    if settings.TIME_ZONE not in zoneinfo.available_timezones():
        found.append(
            Error(
                f"There is no time zone {settings.TIME_ZONE!r}.",
                hint="Set RCLUSTER_TIME_ZONE, for example to Europe/Berlin.",
                id="rcluster.E002",
            )
        )
    if settings.RCLUSTER_QUICK_AT_ONCE and not (
        settings.RCLUSTER_QUICK_CPUS >= SMALLEST_CPUS
        and settings.RCLUSTER_QUICK_MEMORY >= SMALLEST_MEMORY
        and settings.RCLUSTER_QUICK_TIME_LIMIT >= 1
    ):
        found.append(
            Error(
                "A quick command would get too little to start at all.",
                hint=f"Set RCLUSTER_QUICK_CPUS to at least {SMALLEST_CPUS}, RCLUSTER_QUICK_MEMORY to "
                f"at least {SMALLEST_MEMORY} and RCLUSTER_QUICK_TIME_LIMIT to at least 1, or "
                "RCLUSTER_QUICK_AT_ONCE to 0.",
                id="rcluster.E003",
            )
        )
    if settings.DEBUG and not set(settings.ALLOWED_HOSTS) <= {"localhost", "127.0.0.1", "[::1]"}:
        found.append(
            Warning(
                "RCLUSTER_DEBUG shows others the inside of the portal.",
                hint="Unset it.",
                id="rcluster.W001",
            )
        )
    return found
