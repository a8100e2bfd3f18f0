"""A real Mesos 1.11.0 on this machine: a master and several agents (README.md)."""

from deploy.mesos.lab.lab import Lab
from deploy.mesos.lab.options import Options

__all__ = ["Lab", "Options"]
