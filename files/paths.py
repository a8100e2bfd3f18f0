"""Relative paths as people and scripts give them: which may be used."""

from __future__ import annotations

from files.removal import TEMPORARY

MAX_PATH = 4000
"""Bytes of a relative path; the kernel's own limit is 4096."""


class UnsafePath(ValueError):
    """The path leads, or might lead, outside, or to something that is no file or folder of ours.

    `str(error)` is a sentence for people.
    """


def new_components(relative: str) -> list[str]:
    """components() of what is to be made. Raises UnsafePath also for names that listings leave out."""
    parts = components(relative)
    if any(part.startswith(TEMPORARY) for part in parts):
        raise UnsafePath(
            f"Names that begin with {TEMPORARY} are the portal's own: choose another one."
        )
    return parts


def components(relative: str) -> list[str]:
    """The names along a relative path; [] for "". Raises UnsafePath if it must not be used."""
    if relative == "":
        return []
    if "\0" in relative:
        raise UnsafePath("A path must not hold a NUL character.")
    if relative.startswith("/"):
        raise UnsafePath("Give a path relative to the folder, without a leading slash.")
    try:
        length = len(relative.encode())
    except UnicodeEncodeError:
        raise UnsafePath("A path must be valid Unicode.") from None
    if length > MAX_PATH:
        raise UnsafePath("The path is too long.")
    parts = relative.split("/")
    for part in parts:
        if part == "":
            raise UnsafePath("The path has an empty name in it: write one slash between names.")
        if part in (".", ".."):
            raise UnsafePath(f'"{part}" is not allowed in a path.')
        if len(part.encode()) > 255:
            raise UnsafePath("A name in the path is longer than 255 bytes.")
    return parts
