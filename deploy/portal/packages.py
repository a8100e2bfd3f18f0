"""System packages: which program shows that a package is there, and getting what is missing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from deploy.portal.place import ROOT_PATH
from deploy.portal.problem import Problem
from deploy.portal.progress import Progress

BUILD = ("make", "gcc", "libc6-dev")
FRONT_END = ("nodejs", "npm")
LOCAL_BACKEND = ("bubblewrap", "r-base-core", "fonts-dejavu-core", "tzdata")
LOCAL_BACKEND_AS_ROOT = (*LOCAL_BACKEND, "slirp4netns")
"""slirp4netns cannot give an ordinary user's bubblewrap a network: it may not open /dev/net/tun."""
IMAGE = ("mmdebstrap",)
TESTS = (*LOCAL_BACKEND_AS_ROOT, *BUILD, "r-cran-parallelly", "procps", "wget", "strace")
DOCKER_TESTS = ("docker.io", "iptables", *IMAGE, "docker-registry")
DATABASE = ("postgresql",)
BROWSER = ("chromium",)
MESOS_LAB = ("gcc", "g++", "libc6-dev", "binutils", "libsasl2-2", "zlib1g")
MESOS = (*MESOS_LAB, "libzookeeper-java", "default-jre-headless")
NFS = ("user-mode-linux", "mmdebstrap", "iproute2", "e2fsprogs")

_SIGNS: dict[str, tuple[str, ...]] = {
    # Any of them shows that the package (or its equal on another distribution) is there.
    "make": ("make",),
    "gcc": ("gcc",),
    "libc6-dev": (
        "/usr/lib/x86_64-linux-gnu/libc.a",
        "/usr/lib/aarch64-linux-gnu/libc.a",
        "/usr/lib64/libc.a",
        "/usr/lib/libc.a",
    ),
    "nodejs": ("node",),
    "npm": ("npm",),
    "bubblewrap": ("bwrap",),
    "slirp4netns": ("slirp4netns",),
    "r-base-core": ("Rscript",),
    "fonts-dejavu-core": ("/usr/share/fonts/truetype/dejavu", "/usr/share/fonts/dejavu"),
    "r-cran-parallelly": ("/usr/lib/R/site-library/parallelly", "/usr/lib*/R/library/parallelly"),
    "tzdata": ("/usr/share/zoneinfo/Europe/Berlin",),
    "mmdebstrap": ("mmdebstrap",),
    "docker.io": ("dockerd",),
    "iptables": ("iptables",),
    "docker-registry": ("docker-registry",),
    "procps": ("ps",),
    "wget": ("wget",),
    # Not the folder alone: the client makes it, too.
    "postgresql": ("/usr/lib/postgresql/*/bin/initdb",),
    "strace": ("strace",),
    "user-mode-linux": ("linux.uml",),
    "iproute2": ("ip",),
    "e2fsprogs": ("mkfs.ext4",),
    "g++": ("g++",),
    "binutils": ("strip",),
    "libsasl2-2": ("/usr/lib/*/libsasl2.so.2", "/usr/lib64/libsasl2.so.2"),
    "zlib1g": ("/usr/lib/*/libz.so.1", "/lib/*/libz.so.1", "/usr/lib64/libz.so.1"),
    "libzookeeper-java": ("/usr/share/java/zookeeper.jar",),
    "default-jre-headless": ("java",),
    "chromium": ("chromium", "chromium-browser", "google-chrome"),
}


def is_there(package: str) -> bool:
    for sign in _SIGNS[package]:
        if sign.startswith("/"):
            if any(Path("/").glob(sign[1:])):
                return True
        elif shutil.which(sign, path=f"{os.environ.get('PATH', '')}:{ROOT_PATH}"):
            return True
    return False


def missing(packages: Iterable[str]) -> list[str]:
    return [package for package in dict.fromkeys(packages) if not is_there(package)]


def ensure(packages: Iterable[str], *, progress: Progress, purpose: str) -> None:
    """Install what is missing, or raise a Problem with the one line that does it."""
    wanted = missing(packages)
    if not wanted:
        return
    line = f"apt-get install --no-install-recommends {' '.join(wanted)}"
    if os.geteuid() != 0 or not shutil.which("apt-get", path=ROOT_PATH):
        raise Problem(f"{purpose} needs packages that are missing. As root:\n    {line}")
    with progress.step(f"System packages {' '.join(wanted)}"):
        try:
            _apt(progress, "install", "--no-install-recommends", *wanted)
        except Problem:
            # The lists of packages are missing (a fresh machine) or older than the mirror.
            _apt(progress, "update")
            _apt(progress, "install", "--no-install-recommends", *wanted)
    still = missing(wanted)
    if still:
        raise Problem(f"apt-get installed {' '.join(still)}, but it cannot be found afterwards.")


def _apt(progress: Progress, *words: str) -> None:
    progress.command(
        [
            "apt-get",
            "-q",
            "-y",
            "-o",
            "DPkg::Lock::Timeout=300",
            "-o",
            "Acquire::Retries=3",
            *words,
        ],
        cwd=Path("/"),
        env={
            **os.environ,
            "PATH": ROOT_PATH,
            "DEBIAN_FRONTEND": "noninteractive",
            "LC_ALL": "C.UTF-8",
        },
    )
