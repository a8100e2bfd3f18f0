"""What `local` knows about its containers, on disk: one folder per handle, so that the next
process of ours finds them.

    <state>/<handle>/launch.json    written before anything is started
                     pid            who was started; its exit record says it too, once it has claimed
                     args           bubblewrap's arguments (the script's variables may be secret)
                     errors         what the runner said, for when it could not even begin
                     killed         present: we killed it
    <state>/etc/                    the sandbox's passwd, group, hosts, resolv.conf
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from jobs.backends.processes import Process, boot_id

ETC = "etc"
ERROR_LIMIT = 2000


@dataclass(frozen=True)
class Entry:
    """One container as it was noted before its start."""

    folder: Path
    attempt_dir: Path
    boot: str
    at: float

    @property
    def handle(self) -> str:
        return self.folder.name

    @property
    def errors_file(self) -> Path:
        return self.folder / "errors"

    @property
    def args_file(self) -> Path:
        return self.folder / "args"

    def started(self) -> Process | None:
        """Who was started; None if nobody was, or if that was never noted."""
        try:
            return Process(**json.loads((self.folder / "pid").read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def note_started(self, who: Process) -> None:
        new = self.folder / "pid.new"
        new.write_text(json.dumps(asdict(who)))
        new.replace(self.folder / "pid")

    def write_args(self, arguments: Sequence[str], *, uid: int, gid: int) -> None:
        """For the ordinary user's eyes only."""
        new = self.folder / "args.new"
        new.unlink(missing_ok=True)
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(b"".join(argument.encode() + b"\0" for argument in arguments))
            if os.geteuid() == 0:
                os.fchown(fd, uid, gid)
        new.replace(self.args_file)

    def errors(self) -> str:
        with contextlib.suppress(FileNotFoundError), self.errors_file.open("rb") as file:
            return file.read(ERROR_LIMIT).decode("utf-8", "replace").strip()
        return ""

    def note_killed(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            (self.folder / "killed").touch()

    @property
    def was_killed(self) -> bool:
        return (self.folder / "killed").exists()


class State:
    """The folder of all entries. Processes of ours may use it one after the other."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def etc(self) -> Path:
        return self.root / ETC

    def prepare(self) -> None:
        """The ordinary user must reach its own files below, but need not see who else is there."""
        self.root.mkdir(parents=True, exist_ok=True)
        self.root.chmod(0o711)

    def note(self, handle: str, *, attempt_dir: Path) -> Entry:
        """Safe to repeat."""
        entry = Entry(self.root / handle, attempt_dir, boot_id(), time.time())
        entry.folder.mkdir(exist_ok=True)
        entry.folder.chmod(0o711)  # whatever the umask
        text = json.dumps({"attempt_dir": str(attempt_dir), "boot": entry.boot, "at": entry.at})
        new = entry.folder / "launch.json.new"
        new.write_text(text)
        new.replace(entry.folder / "launch.json")
        return entry

    def entry(self, handle: str) -> Entry | None:
        folder = self.root / handle
        try:
            raw = json.loads((folder / "launch.json").read_text())
            return Entry(folder, Path(raw["attempt_dir"]), str(raw["boot"]), float(raw["at"]))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (ValueError, KeyError, TypeError):
            # Cut off by a crash of the machine: nothing had been started then.
            return None

    def entries(self) -> list[Entry]:
        try:
            names = sorted(os.listdir(self.root))  # noqa: PTH208 - names are all that is wanted
        except FileNotFoundError:
            return []
        found = (self.entry(name) for name in names if name != ETC)
        return [entry for entry in found if entry is not None]

    def forget(self, handle: str) -> None:
        # Out of sight first: half a folder must not look like an entry.
        with contextlib.suppress(FileNotFoundError):
            (self.root / handle / "launch.json").unlink()
        shutil.rmtree(self.root / handle, ignore_errors=True)
