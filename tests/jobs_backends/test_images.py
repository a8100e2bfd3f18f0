"""Names of images, and what registries say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from jobs.backends.base import ImageNotFound
from jobs.backends.images import (
    PullProgress,
    Refused,
    digest_reference,
    is_denied,
    resolve_image,
    split_reference,
)


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


class Shut:
    """An engine without images, and a registry that says no."""

    def __init__(self, said: str) -> None:
        self.said = said

    def local(self, image: str) -> None:
        return None

    def remote_digest(self, image: str) -> str:
        raise Refused(self.said)

    def pull(self, image: str, *, timeout: float) -> Iterator[dict[str, Any]]:
        raise Refused(self.said)


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        (
            'Head "http://h/v2/r/manifests/1": no basic auth credentials',
            "^The registry of h.x/r:1 needs a login, .*RCLUSTER_REGISTRY_AUTH",
        ),
        (
            "errors:\nunauthorized: authentication required\n",
            "^The registry of h.x/r:1 needs a login",
        ),
        (
            "errors:\ndenied: requested access to the resource is denied\n"
            "unauthorized: authentication required\n",
            "needs a login, .* or there is no such image",
        ),
        ("manifest unknown: manifest unknown", "^There is no image h.x/r:1 for us"),
    ],
)
def test_a_login_that_is_missing_is_told_from_an_image_that_is(said: str, sentence: str) -> None:
    for pull in ("always", "missing"):
        with pytest.raises(ImageNotFound, match=sentence):
            _resolve("h.x/r:1", pull, said)


@pytest.mark.parametrize("image", ["a//b", "x/", "127.0.0.1:99999/x:1", "Upper/r"])
def test_what_is_no_name_is_no_question_to_anybody(image: str) -> None:
    for pull in ("always", "missing", "never"):
        with pytest.raises(ImageNotFound, match=f"“{image}” is no name of an image"):
            _resolve(image, pull, "toomanyrequests")


def test_an_id_that_is_not_here_is_not_asked_for() -> None:
    for pull in ("always", "missing", "never"):
        with pytest.raises(ImageNotFound, match="no registry knows an image by its id"):
            _resolve("sha256:abc", pull, "toomanyrequests")


def _resolve(image: str, pull: str, said: str) -> str:
    return resolve_image(Shut(said), image, pull=pull, on_phase=lambda *_: None, timeout=5)


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
