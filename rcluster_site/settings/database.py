"""SQLite beside the portal, or PostgreSQL."""

import os

import dj_database_url

from rcluster_site.settings.core import ENV

_PROCESS = os.environ.get("RCLUSTER_PROCESS")
# Under ASGI every request has a thread of its own, and a kept connection would outlive it unclosed.
_KEPT = 60 if _PROCESS == "backend" else 0
DATABASES = {
    "default": dj_database_url.parse(
        ENV.database_url, conn_max_age=_KEPT, conn_health_checks=_KEPT > 0
    )
}

if DATABASES["default"]["ENGINE"] == "django.db.backends.postgresql" and _PROCESS == "web":
    # Connecting costs several milliseconds, most of them for the password: requests share what is
    # open (docs/decisions/0017-connections.md).
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
    DATABASES["default"].setdefault("OPTIONS", {})["pool"] = {
        "min_size": 2,
        "max_size": max(2, ENV.whole("RCLUSTER_DATABASE_CONNECTIONS")),
        # Seconds that a request waits for one that is free, or for a server that is away.
        "timeout": 5,
        # An attempt to connect that fails is not repeated for long: the next request makes its own,
        # and the pool's pauses would grow far beyond the time that a restart takes.
        "reconnect_timeout": 2,
    }

if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # Readers never wait for the writer; writers queue for up to 20 s instead of failing at once.
    DATABASES["default"]["OPTIONS"] = {
        "timeout": 20,
        "transaction_mode": "IMMEDIATE",
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON;",
    }
    # Tests too use a file: SQLite in memory, shared by threads, locks whole tables and knows no WAL.
    DATABASES["default"]["TEST"] = {"NAME": str(ENV.home / "test.sqlite3")}
