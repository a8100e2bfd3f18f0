"""Where a portal lives: its clone, its home, the user it runs as, what its processes may know."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.portal.problem import Problem
from rcluster_site.env import Environment, SettingError

CLONE = Path(__file__).resolve().parent.parent.parent

ROOT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PASSED_ON = frozenset(
    {
        *("http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy"),
        *("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "TZ"),
    }
)
"""Variables besides RCLUSTER_* that the portal's processes get from who starts it."""

LONGEST_SOCKET = 107
"""bytes in the address of a Unix socket"""


@dataclass(frozen=True)
class Owner:
    """The account that owns database and storage and runs everything but the backend worker."""

    name: str
    uid: int
    gid: int

    @property
    def is_us(self) -> bool:
        return self.uid == os.geteuid()


@dataclass(frozen=True)
class Place:
    """One portal. Two portals on a machine differ in home and port."""

    clone: Path
    variables: Mapping[str, str]
    """The environment that the portal is started with; the one source of its settings."""

    @classmethod
    def of(cls, variables: Mapping[str, str], *, clone: Path = CLONE) -> Place:
        """Relative folders in settings are meant from where the person stands (RCLUSTER_CWD)."""
        found = dict(variables)
        here = Path(found.get("RCLUSTER_CWD") or Path.cwd())
        for name in ("RCLUSTER_HOME", "RCLUSTER_STORAGE", "RCLUSTER_REDIS_SOCKET"):
            if found.get(name):
                found[name] = str(here / found[name])
        return cls(clone=clone, variables=found)

    @property
    def settings(self) -> Environment:
        return Environment(self.variables)

    @property
    def home(self) -> Path:
        return self.settings.home

    @property
    def run(self) -> Path:
        return self.home / "run"

    @property
    def logs(self) -> Path:
        return self.home / "logs"

    @property
    def control(self) -> Path:
        """The supervisor's own folder. Root's alone when root starts the portal: who may write
        here chooses what root runs."""
        return self.home / "supervisor"

    @property
    def stamps(self) -> Path:
        """What has been set up in this home. The clone keeps its own (`clone_stamps`)."""
        return self.control / "stamps"

    @property
    def clone_stamps(self) -> Path:
        return self.clone / ".rcluster-stamps"

    @property
    def first_login(self) -> Path:
        return self.home / "first-login"

    @property
    def python(self) -> Path:
        return Path(sys.executable)

    def program(self, name: str) -> str:
        """A program of the Python environment, for example `celery`."""
        return str(Path(sys.executable).parent / name)

    @property
    def port(self) -> int:
        port = self.settings.whole("RCLUSTER_PORT")
        if not 0 < port < 65536:
            raise SettingError(f"RCLUSTER_PORT is {port}: set it to a number from 1 to 65535.")
        return port

    @property
    def bind(self) -> str:
        return self.settings.text("RCLUSTER_BIND")

    @property
    def host_name(self) -> str:
        """The name under which people reach the portal: the first one that can be typed."""
        names = [n for n in self.settings.names("RCLUSTER_HOSTS") if not n.startswith((".", "*"))]
        return names[0] if names else "localhost"

    @property
    def url(self) -> str:
        if self.settings.flag("RCLUSTER_HTTPS"):
            return f"https://{self.host_name}"
        return f"http://{self.host_name}:{self.port}"

    @property
    def owner(self) -> Owner:
        """Raises Problem when root starts the portal and the account does not exist (yet)."""
        if os.geteuid() != 0:
            return self.us
        name = self.settings.text("RCLUSTER_USER")
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            raise Problem(f"There is no user {name}: ./rcluster up makes it.") from None
        if entry.pw_uid == 0:
            raise Problem("RCLUSTER_USER is root: scripts must run as an ordinary user.")
        return Owner(name, entry.pw_uid, entry.pw_gid)

    @property
    def us(self) -> Owner:
        """The account that the launcher itself runs as."""
        entry = pwd.getpwuid(os.geteuid())
        return Owner(entry.pw_name, os.geteuid(), os.getegid())

    def environment(self, *, process: str = "") -> dict[str, str]:
        """What a process of the portal finds in its environment: our settings and little else."""
        ours = {
            name: value
            for name, value in self.variables.items()
            if name in PASSED_ON
            or (name.startswith("RCLUSTER_") and name not in {"RCLUSTER_CWD", "RCLUSTER_CLONE"})
        }
        ours |= {
            "PATH": ROOT_PATH if os.geteuid() == 0 else self.variables.get("PATH", ROOT_PATH),
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "RCLUSTER_HOME": str(self.home),
            "DJANGO_SETTINGS_MODULE": "rcluster_site.settings",
        }
        if process:
            ours["RCLUSTER_PROCESS"] = process
        return ours

    def as_owner(self) -> dict[str, object]:
        """Arguments for subprocess that drop root to the ordinary user, groups included."""
        owner = self.owner
        if owner.is_us:
            return {}
        groups = os.getgrouplist(owner.name, owner.gid)
        return {"user": owner.uid, "group": owner.gid, "extra_groups": groups}

    def manage(self, *arguments: str, as_owner: bool = True, process: str = "") -> str:
        """Standard output of `manage.py`. As the ordinary user, unless the step needs the rights
        of the backend worker (which may ask the Docker engine). Raises Problem."""
        outcome = self.python_run(["manage.py", *arguments], as_owner=as_owner, process=process)
        if outcome.returncode != 0:
            words = "\n".join(outcome.stderr.strip().splitlines()[-15:])
            raise Problem(f"manage.py {arguments[0]} failed (exit {outcome.returncode}):\n{words}")
        return outcome.stdout

    def python_run(
        self, arguments: Sequence[str], *, as_owner: bool = True, process: str = ""
    ) -> subprocess.CompletedProcess[str]:
        dropped = self.as_owner() if as_owner else {}
        # Who gave the command, for the audit log: below it would be the ordinary user in any case.
        given_by = {"SUDO_USER": self.variables.get("SUDO_USER") or self.us.name}
        return subprocess.run(  # type: ignore[call-overload,no-any-return]
            [str(self.python), *arguments],
            cwd=self.clone,
            env=self.environment(process=process) | given_by,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            umask=0o077,
            check=False,
            **dropped,
        )

    def check(self) -> None:
        """Settings that cannot work, told before anything is done."""
        for name in ("RCLUSTER_HTTPS", "RCLUSTER_DEBUG"):
            self.settings.flag(name)
        _ = self.port
        _ = self.settings.proxies
        for name in ("RCLUSTER_CPUS", "RCLUSTER_MEMORY"):
            self.settings.number(name)
        if self.settings.text("RCLUSTER_BACKEND") not in {"auto", "docker", "local", "mesos"}:
            raise Problem("RCLUSTER_BACKEND is not one of auto, docker, local and mesos.")
        if any(c in str(self.home) for c in "\n\r\"';#%"):
            # supervisord's configuration has no way to write them that works everywhere.
            raise Problem(f"RCLUSTER_HOME is {self.home}: choose a name without quotes, ; # and %.")
        longest = self.control / "supervisor.sock.1234567"
        if len(os.fsencode(longest)) > LONGEST_SOCKET:
            raise Problem(f"RCLUSTER_HOME is too long for Unix sockets: {self.home}")
