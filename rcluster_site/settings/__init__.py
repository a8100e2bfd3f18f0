"""Django's settings, one file per concern; values come from rcluster_site.env."""

from rcluster_site.settings.api import *  # noqa: F403
from rcluster_site.settings.core import *  # noqa: F403
from rcluster_site.settings.database import *  # noqa: F403
from rcluster_site.settings.logs import *  # noqa: F403
from rcluster_site.settings.messages import *  # noqa: F403
from rcluster_site.settings.runs import *  # noqa: F403
from rcluster_site.settings.security import *  # noqa: F403
from rcluster_site.settings.web import *  # noqa: F403
