"""Celery, Channels and the cache over one Redis or Valkey, reached by a Unix socket.

A script in a container may share the machine's network: over TCP it could write Celery
messages. Messages only make things happen sooner; nothing is lost with them (jobs/supervision/).
"""

from typing import Any

from celery.schedules import crontab
from redis.backoff import NoBackoff
from redis.retry import Retry

from rcluster_site.settings.core import ENV, TIME_ZONE

CELERY_BROKER_URL = f"redis+socket://{ENV.redis_socket}?virtual_host=1"
# Celery gives up after 100 attempts by default; the portal waits for Redis for ever.
CELERY_BROKER_CONNECTION_MAX_RETRIES: int | None = None
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "socket_timeout": 5,
    "socket_connect_timeout": 2,
    # A publisher never keeps a person waiting for a broker that is away: the timer pass does the
    # work. (CELERY_TASK_PUBLISH_RETRY alone does not stop kombu from opening the connection anew.)
    "max_retries": 0,
    "interval_start": 0,
    "interval_step": 0,
    "interval_max": 0,
}
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_DEFAULT_QUEUE = "work"
CELERY_TASK_ROUTES = {"jobs.steps.wake_supervision": {"queue": "backend"}}
CELERY_TASK_PUBLISH_RETRY = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TIMEZONE = TIME_ZONE
CELERY_BEAT_SCHEDULE: dict[str, dict[str, Any]] = {
    "wake-supervision": {
        "task": "jobs.steps.wake_supervision",
        "schedule": 10.0,
        "options": {"expires": 8},
    },
    "measure-datasets": {
        "task": "jobs.steps.measure_datasets",
        "schedule": 20.0,
        "options": {"expires": 15},
    },
    "sweep-datasets": {
        "task": "jobs.steps.sweep_datasets",
        "schedule": 3600.0,
        "options": {"expires": 1800},
    },
    "measure-tasks": {
        "task": "jobs.steps.measure_tasks",
        "schedule": 3600.0,
        "options": {"expires": 1800},
    },
    "resume-copies": {
        "task": "jobs.steps.resume_copies",
        "schedule": 60.0,
        "options": {"expires": 50},
    },
    "sweep-bin": {
        "task": "jobs.steps.sweep_bin",
        "schedule": 3600.0,
        "options": {"expires": 1800},
    },
    "sweep-audit": {
        "task": "jobs.steps.sweep_audit",
        "schedule": 6 * 3600.0,
        "options": {"expires": 3600},
    },
    "clear-sessions": {
        "task": "jobs.steps.clear_sessions",
        "schedule": 24 * 3600.0,
        "options": {"expires": 3600},
    },
    "check-environments": {
        "task": "jobs.steps.check_environments",
        "schedule": crontab(hour=3, minute=17),
        "options": {"expires": 3600},
    },
    "check-new-environments": {
        "task": "jobs.steps.check_new_environments",
        "schedule": 60.0,
        "options": {"expires": 50},
    },
}

CACHES: dict[str, dict[str, Any]] = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": f"unix://{ENV.redis_socket}?db=3",
        # A person waits for it: one try, and not the client's usual patience.
        "OPTIONS": {
            "socket_timeout": 1,
            "socket_connect_timeout": 1,
            "retry": Retry(NoBackoff(), 0),
        },
    }
}

CHANNEL_LAYERS = {
    "default": {
        # RedisChannelLayer silently loses its groups when Redis is flushed; this one does not.
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [f"unix://{ENV.redis_socket}?db=2"]},
    }
}
