"""How a script on `local` is started and what it sees of this machine. Pure but for looking."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from pathlib import Path

from jobs.backends.base import ContainerSpec
from jobs.backends.cgroups import Group

PATH = "/usr/local/bin:/usr/bin:/bin"
SCRIPT_DIR = "/rcluster/script"
NAMESERVER = "10.0.2.3"
"""slirp4netns answers for the machine's own resolver there."""

ARGS_FD, INFO_FD = 8, 9
# bubblewrap reads its arguments from a file: on its command line everybody on this machine could
# read the script's variables. The runner hands on no file of its own, so a shell opens this one.
_WITH_ARGS = f'exec {ARGS_FD}<"$1" && shift && exec "$@"'

_LINKED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_ROOTS = ("/usr", "/opt/R")
"""Programs and libraries; /opt/R is where R's makers' own packages go."""
_ETC = (
    "R",
    "alternatives",
    "ca-certificates",
    "ca-certificates.conf",
    "fonts",
    "host.conf",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "mime.types",
    "nsswitch.conf",
    "papersize",
    "protocols",
    "services",
    "ssl/certs",
    "ssl/openssl.cnf",
    "timezone",
)


def write_etc(folder: Path, *, uid: int, gid: int) -> None:
    """The few files of /etc that are not the machine's own. Written once per account."""
    folder.mkdir(exist_ok=True)
    folder.chmod(0o755)  # whatever the umask
    files = {
        f"passwd-{uid}": (
            "root:x:0:0:root:/:/usr/sbin/nologin\n"
            f"rcluster:x:{uid}:{gid}:R-Cluster:/tmp:/bin/sh\n"
            "nobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n"
        ),
        f"group-{gid}": f"root:x:0:\nrcluster:x:{gid}:\nnogroup:x:65534:\n",
        "hosts": "127.0.0.1 localhost\n::1 localhost\n",
        "resolv.conf": f"nameserver {NAMESERVER}\n",
    }
    for name, text in files.items():
        path = folder / name
        if not path.exists():
            # Two launches may come here at once.
            new = folder / f".{name}.{os.getpid()}.{threading.get_ident()}"
            new.write_text(text)
            new.chmod(0o644)
            new.replace(path)


def bwrap_arguments(
    spec: ContainerSpec, *, etc: Path, variables: Mapping[str, str], own_network: bool
) -> list[str]:
    """For `bwrap --args`: all but the command. `own_network`: bubblewrap makes an empty network;
    else it keeps the one that it is started in."""
    arguments = ["--unshare-user", "--disable-userns", "--unshare-pid", "--unshare-ipc"]
    arguments += ["--unshare-uts", "--hostname", "rcluster", "--unshare-cgroup-try"]
    if own_network:
        arguments += ["--unshare-net"]
    arguments += ["--new-session", "--die-with-parent", "--cap-drop", "ALL"]
    for root in _ROOTS:
        arguments += ["--ro-bind-try", root, root]
    for name in _LINKED:
        host = Path("/", name)
        if host.is_symlink():
            arguments += ["--symlink", str(host.readlink()), str(host)]
        elif host.is_dir():
            arguments += ["--ro-bind", str(host), str(host)]
    for name in _ETC:
        arguments += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    for source, name in (
        (f"passwd-{spec.uid}", "passwd"),
        (f"group-{spec.gid}", "group"),
        ("hosts", "hosts"),
        ("resolv.conf", "resolv.conf"),
    ):
        arguments += ["--ro-bind", str(etc / source), f"/etc/{name}"]
    arguments += ["--proc", "/proc", "--dev", "/dev"]
    arguments += ["--perms", "1777", "--size", str(spec.memory), "--tmpfs", "/tmp"]  # noqa: S108
    arguments += ["--symlink", "/tmp", "/var/tmp"]  # noqa: S108
    arguments += ["--ro-bind-try", "/var/cache/fontconfig", "/var/cache/fontconfig"]
    for mount in spec.mounts:
        kind = "--ro-bind" if mount.read_only else "--bind"
        arguments += [kind, str(mount.source), mount.target]
    arguments += ["--ro-bind", str(spec.attempt_dir / "script"), SCRIPT_DIR]
    arguments += ["--remount-ro", "/", "--chdir", spec.workdir, "--clearenv"]
    for name, value in {"PATH": PATH, **variables}.items():
        arguments += ["--setenv", name, value]
    return arguments


def program(spec: ContainerSpec, *, path: str) -> Path | None:
    """The file on this machine that the command's first word will be, None if there is none."""
    word = spec.command[0]
    if "/" in word:
        places = [os.path.normpath(os.path.join(spec.workdir, word))]  # noqa: PTH118
    else:
        places = [f"{folder}/{word}" for folder in path.split(":") if folder]
    for place in places:
        seen = _on_this_machine(spec, place)
        if seen is not None and seen.is_file() and os.access(seen, os.X_OK):
            return seen
    return None


def _on_this_machine(spec: ContainerSpec, place: str) -> Path | None:
    """Which file a path in the sandbox is; None if nothing of it is visible there."""
    targets = {m.target: m.source for m in spec.mounts} | {SCRIPT_DIR: spec.attempt_dir / "script"}
    for target, source in targets.items():
        if place.startswith(f"{target}/"):
            return source / place[len(target) + 1 :]
    # Neither the path nor what a link leads to may be in a place that the sandbox hides.
    roots = (*_ROOTS, *(f"/{name}" for name in _LINKED))
    path, real = Path(place), Path(place).resolve()
    seen = all(any(each.is_relative_to(root) for root in roots) for each in (path, real))
    return real if seen else None


def start_command(
    spec: ContainerSpec,
    *,
    args_file: Path,
    runner_dir: Path,
    group: Group | None,
    as_root: bool,
    slirp: str | None,
) -> list[str]:
    """The command line of one attempt: rcluster-enter (as root), the runner, bubblewrap. Without
    a group, memory is limited for each process."""
    command = [str(runner_dir / "rcluster-run"), "--dir", str(spec.attempt_dir)]
    command += ["--grace", f"{spec.grace:.3f}", "--sandbox-info-fd", str(INFO_FD)]
    if spec.time_limit:
        command += ["--time-limit", f"{spec.time_limit:.3f}"]
    if spec.log_cap:
        command += ["--log-cap", str(spec.log_cap)]
    if spec.has_stdin:
        command += ["--stdin", str(spec.attempt_dir / "stdin")]
    for file in group.peak_files if group else ():
        command += ["--memory-peak", str(file)]
    for file in group.stat_files if group else ():
        command += ["--memory-stat", str(file)]
    for file in group.oom_files if group else ():
        command += ["--oom-kills", str(file)]
    command += ["--", "/bin/sh", "-c", _WITH_ARGS, "sh", str(args_file)]
    command += [
        "bwrap",
        "--args",
        str(ARGS_FD),
        "--json-status-fd",
        str(INFO_FD),
        "--",
        *spec.command,
    ]
    if group is None:
        command = ["/usr/bin/prlimit", f"--data={spec.memory}", "--", *command]
    if not as_root:
        return command
    enter = [str(runner_dir / "rcluster-enter"), "--user", f"{spec.uid}:{spec.gid}"]
    for folder in group.folders if group else ():
        enter += ["--cgroup", str(folder)]
    if slirp:
        enter += ["--network", "slirp4netns", "--slirp4netns", slirp]
    else:
        enter += ["--network", "none"]
    return [*enter, "--", *command]
