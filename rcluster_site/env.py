"""Every setting of R-Cluster: its environment variable, its default, what it means.

The one documented list. Django's settings, the launcher and `docs/admin/settings.md`
(written by `python -m rcluster_site.env`) all read it, so this module needs only the
standard library.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


class SettingError(ValueError):
    """A setting has a value that cannot be used; the message says what to do."""


@dataclass(frozen=True)
class Setting:
    name: str
    default: str
    meaning: str


def _default_home() -> str:
    if os.geteuid() == 0:
        return "/var/lib/rcluster"
    data = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return str(Path(data) / "rcluster")


GIB = 1024**3

SETTINGS: tuple[Setting, ...] = (
    Setting(
        "RCLUSTER_HOME",
        "",
        "Folder of the database, sockets, secrets and process logs. "
        "Default: /var/lib/rcluster for root, ~/.local/share/rcluster otherwise. Never on shared storage.",
    ),
    Setting(
        "RCLUSTER_STORAGE",
        "",
        "Folder of Tasks, Datasets and Run logs, the same path on every machine. "
        "Default: storage/ in RCLUSTER_HOME.",
    ),
    Setting(
        "RCLUSTER_USER",
        "rcluster",
        "Account that owns the storage and runs the scripts when "
        "R-Cluster is started as root. Created when missing.",
    ),
    Setting("RCLUSTER_BIND", "127.0.0.1", "Address that the portal listens on."),
    Setting("RCLUSTER_PORT", "8000", "Port that the portal listens on."),
    Setting(
        "RCLUSTER_HOSTS",
        "localhost,127.0.0.1,[::1]",
        "Host names under which the portal is reached, comma separated.",
    ),
    Setting(
        "RCLUSTER_HTTPS",
        "0",
        "1 when a proxy in front serves the portal over HTTPS: cookies are then sent over HTTPS only, "
        "and whoever connects is believed an X-Forwarded-Proto (not an X-Forwarded-For).",
    ),
    Setting(
        "RCLUSTER_PROXY",
        "",
        "Addresses or networks of the proxy in front, comma separated (127.0.0.1), whose X-Forwarded-For "
        "and -Proto are believed. Default: nobody's; sign-ins and the audit log then have the address that "
        "connects.",
    ),
    Setting(
        "RCLUSTER_DATABASE_URL",
        "",
        "For example postgresql://user:password@host/name. Default: SQLite in RCLUSTER_HOME.",
    ),
    Setting(
        "RCLUSTER_DATABASE_CONNECTIONS",
        "20",
        "Connections to PostgreSQL that the web process keeps open at most.",
    ),
    Setting(
        "RCLUSTER_REDIS_SOCKET",
        "",
        "Unix socket of Redis or Valkey. Default: one of our own in RCLUSTER_HOME/run.",
    ),
    Setting(
        "RCLUSTER_BACKEND",
        "auto",
        "docker, local, mesos, or auto: at the first set-up Docker if it answers, else local. "
        "The choice is stored; a value other than auto changes it.",
    ),
    Setting("RCLUSTER_DOCKER_HOST", "unix:///var/run/docker.sock", "Address of the Docker engine."),
    Setting(
        "RCLUSTER_MESOS_MASTER",
        "127.0.0.1:5050",
        "Where the Mesos master is: host:port, several with commas, or zk://host:port,.../mesos.",
    ),
    Setting("RCLUSTER_MESOS_ROLE", "*", "Role whose share of the Mesos cluster the portal uses."),
    Setting("RCLUSTER_MESOS_PRINCIPAL", "", "Name by which the portal authenticates to Mesos."),
    Setting("RCLUSTER_MESOS_SECRET_FILE", "", "File that holds the secret of that principal."),
    Setting(
        "RCLUSTER_MESOS_FAILOVER_TIMEOUT",
        str(7 * 24 * 3600),
        "Seconds that Mesos lets Runs go on while no portal is there; after that it ends them.",
    ),
    Setting(
        "RCLUSTER_MESOS_NETWORK",
        "",
        "Docker network of the containers, which must exist on every machine. Default: Docker's bridge.",
    ),
    Setting(
        "RCLUSTER_ADDRESS",
        "",
        "Address of the portal as people open it, for links that commands print and on Mesos' pages.",
    ),
    Setting(
        "RCLUSTER_REGISTRY_AUTH",
        "",
        "A Docker config.json with logins to registries: with them images are pulled (docker) and "
        "registries asked for digests (docker and mesos; agents have their own).",
    ),
    Setting(
        "RCLUSTER_IMAGE",
        "",
        "Image of the first Environment. Default: r-base from Docker Hub where it can be pulled, "
        "else an image built from Debian packages.",
    ),
    Setting(
        "RCLUSTER_CPUS", "", "CPU cores that Runs on this machine may use together. Default: all."
    ),
    Setting(
        "RCLUSTER_MEMORY",
        "",
        "Bytes of memory that Runs on this machine may use together. "
        "Default: 90 % of the machine's, less what is set aside for quick commands (at most 10 %).",
    ),
    Setting("RCLUSTER_QUICK_CPUS", "0.1", "CPU cores that a quick command gets."),
    Setting(
        "RCLUSTER_QUICK_MEMORY", str(256 * 1024**2), "Bytes of memory that a quick command gets."
    ),
    Setting("RCLUSTER_QUICK_TIME_LIMIT", "300", "Seconds after which a quick command is stopped."),
    Setting(
        "RCLUSTER_QUICK_AT_ONCE",
        "4",
        "Quick commands that a machine may have at a time, beside its other Runs. "
        "0: every command goes through the queue.",
    ),
    Setting(
        "RCLUSTER_STORAGE_LOW",
        "",
        "Bytes of free storage below which no Run is started. 0: never that. "
        "Default: 1 GiB; on a storage of less than 50 GiB 2 % of it.",
    ),
    Setting(
        "RCLUSTER_LOG_CAP",
        str(10 * GIB),
        "Largest Run log in bytes; what a Run prints beyond it is dropped and says so. 0: no limit.",
    ),
    Setting(
        "RCLUSTER_TIME_LIMIT",
        str(7 * 24 * 3600),
        "Longest time limit in seconds that a Run may ask for. 0: Runs may ask for none.",
    ),
    Setting("RCLUSTER_GRACE", "10", "Seconds between asking a script to stop and killing it."),
    Setting(
        "RCLUSTER_PULL_TIMEOUT",
        "1800",
        "Seconds after which pulling an image is given up and tried again later.",
    ),
    Setting(
        "RCLUSTER_BIN_DAYS",
        "7",
        "Days that deleted Tasks and Datasets can be restored; then their files are removed.",
    ),
    Setting(
        "RCLUSTER_AUDIT_DAYS",
        "365",
        "Days that entries of the audit log are kept. 0: for ever.",
    ),
    Setting("RCLUSTER_UPLOAD_LIMIT", str(50 * GIB), "Largest uploaded file in bytes."),
    Setting(
        "RCLUSTER_RATE_REQUESTS",
        "100",
        "Requests a second to the API that each token and each person may make; over ten seconds, "
        "so ten times as many may come at once. 0: no limit.",
    ),
    Setting(
        "RCLUSTER_RATE_ANONYMOUS",
        "20",
        "The same for each address of somebody who shows no valid token and is not signed in.",
    ),
    Setting(
        "RCLUSTER_TIME_ZONE",
        "UTC",
        "Time zone of the pages and of scripts, for example Europe/Berlin.",
    ),
    Setting(
        "RCLUSTER_DEBUG", "0", "1 shows Django's error pages. Never on a portal that others reach."
    ),
)

_BY_NAME = {setting.name: setting for setting in SETTINGS}


@dataclass(frozen=True)
class Environment:
    """The settings as found in `variables`, with defaults filled in and types checked."""

    variables: Mapping[str, str]

    def text(self, name: str) -> str:
        return self.variables.get(name, "").strip() or _BY_NAME[name].default

    def flag(self, name: str) -> bool:
        value = self.text(name).lower()
        if value in {"1", "true", "yes", "on"}:
            return True
        if value in {"", "0", "false", "no", "off"}:
            return False
        raise SettingError(f"{name} is {value!r}: set it to 1 or 0.")

    def number(self, name: str) -> float | None:
        value = self.text(name)
        if not value:
            return None
        try:
            number = float(value)
        except ValueError:
            raise SettingError(f"{name} is {value!r}: set it to a number.") from None
        if number < 0 or number != number or number == float("inf"):
            raise SettingError(f"{name} is {value!r}: set it to a number that is not negative.")
        return number

    def whole(self, name: str) -> int:
        return int(self.number(name) or 0)

    def names(self, name: str) -> list[str]:
        return [part.strip() for part in self.text(name).split(",") if part.strip()]

    @property
    def proxies(self) -> list[str]:
        """Whose X-Forwarded-For and -Proto are believed: addresses and networks."""
        found = self.names("RCLUSTER_PROXY")
        for each in found:
            try:
                ipaddress.ip_network(each)
            except ValueError:
                raise SettingError(
                    f"RCLUSTER_PROXY has {each!r}: name addresses or networks, for example "
                    "127.0.0.1 or 10.0.0.0/28."
                ) from None
        return found

    @property
    def home(self) -> Path:
        return Path(self.text("RCLUSTER_HOME") or _default_home())

    @property
    def storage(self) -> Path:
        given = self.text("RCLUSTER_STORAGE")
        return Path(given) if given else self.home / "storage"

    @property
    def redis_socket(self) -> Path:
        given = self.text("RCLUSTER_REDIS_SOCKET")
        return Path(given) if given else self.home / "run" / "valkey.sock"

    @property
    def database_url(self) -> str:
        return self.text("RCLUSTER_DATABASE_URL") or f"sqlite:///{self.home / 'db.sqlite3'}"


def read() -> Environment:
    return Environment(os.environ)


def as_markdown() -> str:
    """The reference page `docs/admin/settings.md`."""
    rows = "\n".join(
        f"| `{s.name}` | {f'`{s.default}`' if s.default else ''} | {s.meaning} |" for s in SETTINGS
    )
    return (
        "# Settings\n\nEvery setting is an environment variable of `./rcluster`. "
        "This page is written by `python -m rcluster_site.env`.\n\n"
        f"| variable | default | meaning |\n|---|---|---|\n{rows}\n"
    )


if __name__ == "__main__":
    (Path(__file__).parent.parent / "docs" / "admin" / "settings.md").write_text(as_markdown())
