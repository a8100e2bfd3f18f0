"""Storage, backends and limits of Runs."""

from pathlib import Path

from jobs.backends.mesos_settings import MesosSettings
from rcluster_site.settings.core import BASE_DIR, ENV

RCLUSTER_HOME = ENV.home
RCLUSTER_STORAGE = ENV.storage
RCLUSTER_RUNNER_DIR = BASE_DIR / "runner" / "build"
RCLUSTER_BACKEND = ENV.text("RCLUSTER_BACKEND")
RCLUSTER_DOCKER_HOST = ENV.text("RCLUSTER_DOCKER_HOST")
RCLUSTER_MESOS = MesosSettings(
    master=ENV.text("RCLUSTER_MESOS_MASTER"),
    role=ENV.text("RCLUSTER_MESOS_ROLE"),
    principal=ENV.text("RCLUSTER_MESOS_PRINCIPAL"),
    secret_file=Path(_secret) if (_secret := ENV.text("RCLUSTER_MESOS_SECRET_FILE")) else None,
    failover_timeout=ENV.number("RCLUSTER_MESOS_FAILOVER_TIMEOUT") or 0.0,
    network=ENV.text("RCLUSTER_MESOS_NETWORK"),
    web_address=ENV.text("RCLUSTER_ADDRESS"),
    pull_timeout=ENV.number("RCLUSTER_PULL_TIMEOUT") or 0.0,
    registry_auth=Path(_auth) if (_auth := ENV.text("RCLUSTER_REGISTRY_AUTH")) else None,
)
RCLUSTER_CPUS = ENV.number("RCLUSTER_CPUS")
RCLUSTER_MEMORY = ENV.number("RCLUSTER_MEMORY")
RCLUSTER_QUICK_CPUS = ENV.number("RCLUSTER_QUICK_CPUS") or 0.0
RCLUSTER_QUICK_MEMORY = ENV.whole("RCLUSTER_QUICK_MEMORY")
RCLUSTER_QUICK_TIME_LIMIT = ENV.whole("RCLUSTER_QUICK_TIME_LIMIT")
RCLUSTER_QUICK_AT_ONCE = ENV.whole("RCLUSTER_QUICK_AT_ONCE")
_low = ENV.number("RCLUSTER_STORAGE_LOW")
RCLUSTER_STORAGE_LOW = None if _low is None else int(_low)
RCLUSTER_LOG_CAP = ENV.whole("RCLUSTER_LOG_CAP")
RCLUSTER_TIME_LIMIT = ENV.whole("RCLUSTER_TIME_LIMIT")
RCLUSTER_GRACE = ENV.number("RCLUSTER_GRACE") or 0.0
RCLUSTER_PULL_TIMEOUT = ENV.number("RCLUSTER_PULL_TIMEOUT") or 0.0
RCLUSTER_UPLOAD_LIMIT = ENV.whole("RCLUSTER_UPLOAD_LIMIT")
RCLUSTER_BIN_DAYS = ENV.number("RCLUSTER_BIN_DAYS") or 0.0
RCLUSTER_AUDIT_DAYS = ENV.whole("RCLUSTER_AUDIT_DAYS")
RCLUSTER_USER = ENV.text("RCLUSTER_USER")

RCLUSTER_REDIS_SOCKET = ENV.redis_socket
