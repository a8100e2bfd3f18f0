"""The portal's settings for tests: a home of its own per test session.

An early plugin (`-p tests.home` in pyproject.toml), because pytest-django reads the settings
before any conftest.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

HOME = tempfile.mkdtemp(prefix="rcluster-test-", dir=os.environ.get("RCLUSTER_TEST_TMP", "/tmp"))
# The ordinary user who runs scripts must reach the storage in it.
Path(HOME).chmod(0o755)
os.environ["RCLUSTER_HOME"] = HOME
os.environ["RCLUSTER_SECRET_KEY"] = "only-for-tests"
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "rcluster_site.settings")
for _name in ("RCLUSTER_STORAGE", "RCLUSTER_REDIS_SOCKET", "RCLUSTER_BACKEND"):
    os.environ.pop(_name, None)


def pytest_unconfigure() -> None:
    """Nothing stays behind: not on the machines of those who run the tests all day."""
    shutil.rmtree(HOME, ignore_errors=True)
