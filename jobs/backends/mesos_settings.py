"""How the portal presents itself to Mesos: plain values from the settings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from jobs.backends.base import BackendUnavailable

WEEK = 7 * 24 * 3600.0


@dataclass(frozen=True)
class MesosSettings:
    master: str = "127.0.0.1:5050"
    """host:port, several of them with commas, or zk://host:port,.../path"""
    role: str = "*"
    principal: str = ""
    secret_file: Path | None = None
    failover_timeout: float = WEEK
    """seconds that Mesos lets our tasks run without a portal"""
    network: str = ""
    """a Docker network that exists on every machine; "": Docker's own bridge"""
    web_address: str = ""
    """of the portal, for Mesos' pages"""
    pull_timeout: float = 1800.0
    """seconds that a machine may take from accepting a task to running it"""
    registry_auth: Path | None = None
    """a Docker config.json with the registries' credentials"""

    @property
    def masters(self) -> tuple[str, ...]:
        if self.master.startswith("zk://"):
            return (self.master,)
        return tuple(
            each if ":" in each else f"{each}:5050"
            for each in (part.strip() for part in self.master.split(","))
            if each
        )

    def credential(self) -> tuple[str, str] | None:
        """Principal and secret. Raises BackendUnavailable if the secret can't be read."""
        if not self.principal or self.secret_file is None:
            return None
        try:
            return self.principal, self.secret_file.read_text().strip()
        except OSError as error:
            raise BackendUnavailable(
                f"The secret of Mesos can't be read from {self.secret_file} ({error.strerror})."
            ) from error

    def framework(self, framework_id: str) -> dict[str, object]:
        """FrameworkInfo, the same at every registration but for the id."""
        info: dict[str, object] = {
            "name": "R-Cluster",
            "user": "root",
            "roles": [self.role],
            "checkpoint": True,
            "failover_timeout": self.failover_timeout,
            "capabilities": [
                {"type": kind}
                for kind in (
                    "MULTI_ROLE",
                    "PARTITION_AWARE",
                    "RESERVATION_REFINEMENT",
                    "TASK_KILLING_STATE",
                )
            ],
        }
        if self.principal:
            info["principal"] = self.principal
        if self.web_address:
            info["webui_url"] = self.web_address
        if framework_id:
            info["id"] = {"value": framework_id}
        return info
