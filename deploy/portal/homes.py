"""The portal's account and its home: folders, owners, the secret key."""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import stat
import subprocess
from pathlib import Path

from deploy.portal.place import ROOT_PATH, Owner, Place
from deploy.portal.problem import Problem
from deploy.portal.stamps import Stamp
from files import marker

LEAST_SPACE = 2 * 1024**3
"""bytes; below this the set-up itself may fail half way"""


def ensure(place: Place) -> None:
    """Make or repair the account and the home. Idempotent, a few milliseconds when all is well."""
    ensure_account(place)
    owner = place.owner
    root = os.geteuid() == 0
    home = place.home
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o755)
    except OSError as error:
        raise Problem(
            f"The portal's home {home} cannot be made ({error.strerror}). "
            "Set RCLUSTER_HOME to a folder of yours."
        ) from None
    _check_ours(home, owner)
    if root:
        # The database's folder must be writable for the ordinary user; the sticky bit keeps it
        # from replacing what is root's in here (supervisor/ says what root runs).
        _own(home, 0, owner.gid, 0o1775)
    else:
        _own(home, owner.uid, owner.gid, 0o755)
    us, group = os.geteuid(), os.getegid()
    _folder(place.control, us, group, 0o700)
    _folder(place.stamps, us, group, 0o700)
    _folder(place.logs, us, group, 0o700)
    _folder(home / "backend-state", us, group, 0o711)
    _folder(place.run, owner.uid, owner.gid, 0o700)
    _folder(home / "tmp", owner.uid, owner.gid, 0o700)
    if not place.settings.text("RCLUSTER_STORAGE"):
        _folder(place.settings.storage, owner.uid, owner.gid, 0o750)
    elif not place.settings.storage.is_dir():
        raise Problem(
            f"RCLUSTER_STORAGE is {place.settings.storage}, and there is no such folder: "
            f"make it and give it to {owner.name}, or mount the shared storage there."
        )
    _ensure_secret_key(place, owner)
    _own_database(home, owner)
    _check_space(home, "RCLUSTER_HOME")
    _check_space(place.settings.storage, "RCLUSTER_STORAGE")
    _check_reachable(place, owner)
    _mark_storage(place)


def ensure_account(place: Place) -> None:
    """Make the ordinary user when root starts the portal and it is missing."""
    if os.geteuid() != 0:
        return
    name = place.settings.text("RCLUSTER_USER")
    try:
        pwd.getpwnam(name)
        return
    except KeyError:
        pass
    useradd = shutil.which("useradd", path=ROOT_PATH)
    if useradd is None:
        raise Problem(f"There is no user {name}, and no useradd to make it: make it by hand.")
    made = subprocess.run(
        [
            *(useradd, "--system", "--user-group", "--home-dir", str(place.home)),
            *("--no-create-home", "--shell", "/usr/sbin/nologin", name),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    # 9: another set-up made it in the meantime
    if made.returncode not in {0, 9}:
        raise Problem(f"The user {name} could not be made: {made.stderr.strip()}")


def _check_ours(home: Path, owner: Owner) -> None:
    """A home that somebody else's portal uses is left alone."""
    found = home.stat()
    if os.geteuid() == 0:
        key = home / "secret-key"
        if key.exists() and key.stat().st_uid not in {0, owner.uid}:
            other = _name(key.stat().st_uid)
            raise Problem(
                f"{home} belongs to a portal of the user {other}. "
                f"Set RCLUSTER_USER={other}, or RCLUSTER_HOME to another folder."
            )
    elif found.st_uid != os.geteuid():
        raise Problem(
            f"{home} belongs to {_name(found.st_uid)}, not to you. "
            "Set RCLUSTER_HOME to a folder of yours, or start the portal as its owner."
        )


def _folder(path: Path, uid: int, gid: int, mode: int) -> None:
    try:
        path.mkdir(mode=mode)
    except FileExistsError:
        if path.is_symlink() or not path.is_dir():
            raise Problem(f"{path} is not a folder: move it away.") from None
    _own(path, uid, gid, mode)


def _own(path: Path, uid: int, gid: int, mode: int) -> None:
    found = path.lstat()
    if (found.st_uid, found.st_gid) != (uid, gid):
        os.chown(path, uid, gid, follow_symlinks=False)
    if stat.S_IMODE(found.st_mode) != mode:
        path.chmod(mode)


def _ensure_secret_key(place: Place, owner: Owner) -> None:
    path = place.home / "secret-key"
    if not path.exists() or path.stat().st_size == 0:
        write_private(path, secrets.token_urlsafe(50) + "\n", owner)
    _own(path, owner.uid, owner.gid, 0o600)


def write_private(path: Path, text: str, owner: Owner) -> None:
    """A file that only `owner` can read, whole or not at all."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        os.fchown(descriptor, owner.uid, owner.gid)
    fresh.replace(path)


def _own_database(home: Path, owner: Owner) -> None:
    """A half-finished set-up may have left root's files, on which the others would fail."""
    if os.geteuid() != 0:
        return
    for suffix in ("", "-wal", "-shm", "-journal"):
        path = home / f"db.sqlite3{suffix}"
        with contextlib.suppress(FileNotFoundError):
            if path.lstat().st_uid != owner.uid:
                os.chown(path, owner.uid, owner.gid, follow_symlinks=False)


def _check_space(folder: Path, setting: str) -> None:
    free = shutil.disk_usage(folder).free
    if free < LEAST_SPACE:
        raise Problem(
            f"Only {free / 1024**3:.1f} GB are free in {folder}, and 2 GB are needed: "
            f"make room, or set {setting} to a folder with more."
        )


def _check_reachable(place: Place, owner: Owner) -> None:
    """Root's own view proves nothing: ask as the ordinary user."""
    if owner.is_us:
        return
    for path, what in (
        (place.run, "RCLUSTER_HOME"),
        (place.settings.storage, "RCLUSTER_STORAGE"),
        (place.clone / "manage.py", "The folder of R-Cluster"),
        (place.python, "The Python environment"),
    ):
        dropped = place.as_owner()
        seen = subprocess.run(  # type: ignore[call-overload]
            ["/usr/bin/test", "-r", str(path)], check=False, **dropped
        )
        if seen.returncode != 0:
            raise Problem(
                f"{what} cannot be read by the user {owner.name}: {path}. "
                "Put it below a folder that everybody may enter (not /root)."
            )


def _mark_storage(place: Place) -> None:
    """So that the portal knows its storage from the empty folder that it is mounted on.

    Once for each address: a folder there that has lost the mark is no storage of ours.
    """
    storage = place.settings.storage
    marked = Stamp(place.stamps / "storage", str(storage))
    if marker.is_marked(storage):
        marked.write()
        return
    if marked.current and place.settings.text("RCLUSTER_STORAGE"):
        raise Problem(
            f"RCLUSTER_STORAGE is {storage}, but what is there now is not the storage that the "
            f"portal was set up with: mount that one. If it is a new one, remove {marked.path}."
        )
    call = "import sys, pathlib; from files import marker; marker.mark(pathlib.Path(sys.argv[1]))"
    made = place.python_run(["-c", call, str(storage)])
    if made.returncode != 0:
        said = made.stderr.strip().splitlines()[-1:]
        raise Problem(
            f"The user {place.owner.name} cannot write to RCLUSTER_STORAGE, {storage}: "
            f"give it the folder. {' '.join(said)}"
        )
    marked.write()


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"number {uid}"
