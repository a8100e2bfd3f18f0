"""Names of images, and what registries say."""

from __future__ import annotations

import pytest

from jobs.backends.images import PullProgress, digest_reference, is_denied, split_reference


@pytest.mark.parametrize(
    ("image", "parts"),
    [
        ("r-base", ("r-base", "latest", "")),
        ("r-base:4.4", ("r-base", "4.4", "")),
        ("host:5000/team/r", ("host:5000/team/r", "latest", "")),
        ("host:5000/team/r:1", ("host:5000/team/r", "1", "")),
        ("host:5000/r@sha256:ab", ("host:5000/r", "", "sha256:ab")),
    ],
)
def test_split(image: str, parts: tuple[str, str, str]) -> None:
    assert split_reference(image) == parts


def test_the_engines_own_name_for_an_image() -> None:
    known = ["other@sha256:aa", "r-base@sha256:bb", "r-base@sha256:cc"]
    assert digest_reference("docker.io/library/r-base:4.4", known, "sha256:cc") == known[2]
    assert digest_reference("r-base:4.4", known) == known[1]
    assert digest_reference("r-base", known, "sha256:aa") is None
    assert digest_reference("team/r-base", known) is None


@pytest.mark.parametrize(
    ("words", "denied"),
    [
        ("manifest unknown: manifest unknown", True),
        ("pull access denied for x, repository does not exist or may require 'docker login'", True),
        ("no matching manifest for linux/arm64 in the manifest list entries", True),
        ("invalid reference format: repository name must be lowercase", True),
        ('Get "https://x/v2/": dial tcp: lookup x on 10.0.0.1:53: no such host', False),
        ('Get "http://x/v2/": dial tcp 127.0.0.1:1: connect: connection refused', False),
        ("toomanyrequests: You have reached your pull rate limit.", False),
        ("received unexpected HTTP status: 503 Service Unavailable", False),
        ("net/http: request canceled (Client.Timeout exceeded while awaiting headers)", False),
    ],
)
def test_denied_or_silent(words: str, denied: bool) -> None:
    assert is_denied(words) is denied


def test_progress_adds_up_layers() -> None:
    progress = PullProgress("r")
    assert progress.sentence == "Pulling r"
    for layer, current in (("a", 10_000_000), ("b", 20_000_000), ("a", 30_000_000)):
        detail = {"current": current, "total": 50_000_000}
        progress.take({"id": layer, "status": "Downloading", "progressDetail": detail})
    assert progress.sentence == "Pulling r: 50 of 100 MB"
    progress.take({"id": "a", "status": "Download complete", "progressDetail": {}})
    progress.take({"id": "b", "status": "Download complete"})
    progress.take({"id": "a", "status": "Extracting", "progressDetail": {"current": 1}})
    assert progress.sentence == "Unpacking r, 100 MB"
