"""Files that comments and documents name are there, what documents link to is, and nothing lies unlinked."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parent.parent.parent
ROOMS = ("accounts", "deploy", "files", "frontend", "jobs", "rcluster_site", "runner", "tests")
_NAMED = re.compile(r"(?<![\w/.@~<>{}*-])[\w-]+(?:/[\w.-]+)*\.(?:py|ts|css|md|sh)\b(?![\w-]|\.\w)")
_DECISION = re.compile(r"\b(?:docs/decisions/|decision )(\d{4})\b")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)|(?:src|srcset)=\"([^\"]+)\"")
ELSEWHERE = {
    "docker/transport/unixconn.py",  # of the package docker
    "setup.py",  # of Mesos
    "bootstrap/dist/css/bootstrap-reboot.min.css",
    "bootstrap-reboot.css",
}
"""files of others that are named here"""
_TEXTS = (".py", ".ts", ".css", ".c", ".md", ".toml", ".html")


@cache
def kept() -> list[PurePosixPath]:
    """What is in the repository, and what is about to be."""
    git = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(git, cwd=ROOT, capture_output=True, text=True, check=True)
    every = [PurePosixPath(each) for each in listed.stdout.splitlines()]
    return [each for each in every if (ROOT / each).is_file()]


@cache
def names() -> frozenset[str]:
    """Of the files, each in full and by every end of it: jobs/backends/base.py, backends/base.py, base.py."""
    return frozenset(
        "/".join(path.parts[start:]) for path in kept() for start in range(len(path.parts))
    )


def texts(*kinds: str) -> Iterator[tuple[PurePosixPath, str]]:
    for path in kept():
        if path.suffix in kinds:
            yield path, (ROOT / path).read_text()


def test_files_that_are_named_are_there() -> None:
    missing = [
        f"{path}: {named}"
        for path, text in texts(*_TEXTS)
        # Tests name files of scripts, too: there, only what begins with a room of ours.
        for named in _NAMED.findall(text)
        if (path.parts[0] != "tests" or named.startswith(ROOMS))
        if named not in names() | ELSEWHERE
    ]
    assert not missing, "\n".join(missing)


def test_decisions_that_are_named_are_there() -> None:
    there = {path.name[:4] for path in (ROOT / "docs/decisions").glob("[0-9]*.md")}
    missing = [
        f"{path}: {number}"
        for path, text in texts(*_TEXTS)
        for number in _DECISION.findall(text)
        if number not in there
    ]
    assert not missing, "\n".join(missing)


def test_links_of_documents_lead_somewhere() -> None:
    broken = []
    for path, text in texts(".md"):
        for link in (a or b for a, b in _LINK.findall(text)):
            if re.match(r"[a-z]+:", link):
                continue
            place, _, heading = link.partition("#")
            target = ROOT / path.parent / place if place else ROOT / path
            if not target.exists() or (heading and heading not in _headings(target)):
                broken.append(f"{path}: {link}")
    assert not broken, "\n".join(broken)


def test_every_document_and_picture_is_led_to() -> None:
    led_to = {
        (ROOT / path.parent / link.partition("#")[0]).resolve()
        for path, text in texts(".md")
        for link in (a or b for a, b in _LINK.findall(text))
    }
    shown = [path for path in kept() if path.parts[0] == "docs" and path.suffix in (".md", ".png")]
    missed = [str(path) for path in shown if (ROOT / path) not in led_to]
    assert [path for path in missed if path != "docs/README.md"] == []


def _headings(document: Path) -> set[str]:
    """As GitHub makes addresses of them."""
    found = re.findall(r"^#+ +(.+?)\s*$", document.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in found}
