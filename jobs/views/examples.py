"""The home page's examples: a Task with script and data, made and run in one click."""

from __future__ import annotations

from dataclasses import dataclass

from accounts.models import User
from jobs import services
from jobs.models import Run
