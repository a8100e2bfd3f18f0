"""From an Environment's image to what is launched: names, a registry's words, pulling."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

from jobs.backends.base import BackendError, ImageNotFound, OnPhase, Phase, RegistryUnavailable

TELL_EVERY = 0.5
"""seconds between two sentences about a pull's progress"""

HUB = "docker.io"
HUB_HOST = "registry-1.docker.io"

_NAME = re.compile(r"[a-z0-9]+(?:[._-]+[a-z0-9]+)*(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*")
_HOST = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\])(?::(?P<port>\d{1,5}))?"
)
_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_ID = re.compile(r"sha256:[0-9a-f]{1,64}")
"""of an image on a machine; an engine takes its beginning, too"""

_NEEDS_LOGIN = ("unauthorized", "authentication required", "no basic auth credentials")
_DENIED = (
    "not found",
    "manifest unknown",
    "name unknown",
    "name invalid",
    "denied",
    *_NEEDS_LOGIN,
    "invalid reference",
    "no matching manifest",
    "repository does not exist",
    "no such image",
    "does not match the specified platform",
    "tag invalid",
    "unsupported manifest",
)


def split_reference(image: str) -> tuple[str, str, str]:
    """`repository[:tag][@digest]` as (repository, tag, digest); without both, "latest"."""
    name, _, digest = image.partition("@")
    slash = name.rfind("/")
    colon = name.rfind(":")
    repository, tag = (name[:colon], name[colon + 1 :]) if colon > slash else (name, "")
    return repository, tag or ("" if digest else "latest"), digest


def is_id(image: str) -> bool:
    """Is it an image by what it is, on one machine, not by a name that a registry knows?"""
    return _ID.fullmatch(image) is not None


def place(image: str) -> tuple[str, str, str]:
    """Where an image lies: (host, name there, tag or digest). Raises ImageNotFound if that is no
    name of an image."""
    repository, tag, digest = split_reference(image)
    host, slash, name = repository.partition("/")
    if not slash or not ("." in host or ":" in host or host == "localhost"):
        host, name = HUB, repository
    if host in (HUB, "index.docker.io"):
        host, name = HUB_HOST, familiar(name)
        name = name if "/" in name else f"library/{name}"
    valid = _DIGEST.fullmatch(digest) if digest else _TAG.fullmatch(tag)
    server = _HOST.fullmatch(host)
    if not (server and 0 <= int(server["port"] or 0) < 65536 and _NAME.fullmatch(name) and valid):
        raise ImageNotFound(f"“{image}” is no name of an image.")
    return host, name, digest or tag


def familiar(repository: str) -> str:
    """As the engine writes it: without Docker Hub's host and its folder of official images."""
    for prefix in ("docker.io/", "index.docker.io/"):
        repository = repository.removeprefix(prefix)
    return repository.removeprefix("library/")


def digest_reference(image: str, repo_digests: Iterable[str], digest: str = "") -> str | None:
    """The engine's `repository@digest` of this image, of this `digest` if one is given."""
    repository = familiar(split_reference(image)[0])
    for reference in repo_digests:
        if digest and reference == f"{repository}@{digest}":
            return reference
        if not digest and reference.partition("@")[0] == repository:
            return reference
    return None


def is_denied(words: str) -> bool:
    """Does the registry say that there is no such image for us (else it is just not answering)?"""
    words = words.lower()
    if "lookup " in words or "dial " in words:  # "... no such host", "server misbehaving"
        return False
    return _any(_DENIED, words)


class PullProgress:
    """Adds up the layers of one pull from the engine's progress messages."""

    def __init__(self, image: str) -> None:
        self._image = image
        self._sizes: dict[str, tuple[int, int]] = {}
        self._unpacking = False

    def take(self, message: Mapping[str, Any]) -> None:
        layer, status = str(message.get("id", "")), message.get("status")
        detail = message.get("progressDetail") or {}
        current, total = detail.get("current"), detail.get("total")
        if status == "Downloading" and current is not None and total:
            self._sizes[layer] = (int(current), int(total))
        elif status == "Download complete" and layer in self._sizes:
            self._sizes[layer] = (self._sizes[layer][1],) * 2
        elif status == "Extracting":
            self._unpacking = True

    @property
    def sentence(self) -> str:
        done = sum(current for current, _ in self._sizes.values())
        total = sum(total for _, total in self._sizes.values())
        if not total:
            return f"Pulling {self._image}"
        if self._unpacking and done >= total:
            return f"Unpacking {self._image}, {total / 1e6:.0f} MB"
        return f"Pulling {self._image}: {done / 1e6:.0f} of {total / 1e6:.0f} MB"


class Refused(Exception):
    """The registry (or the engine for it) said no; `str()` is in its words."""


class ImageStore(Protocol):
    """What resolving needs of an engine. Every method may raise BackendUnavailable."""

    def local(self, image: str) -> tuple[str, list[str]] | None:
        """(image id, repository digests) of an image on this machine."""

    def remote_digest(self, image: str) -> str:
        """The digest that the registry has under this name now. Raises Refused."""

    def pull(self, image: str, *, timeout: float) -> Iterator[dict[str, Any]]:
        """Pull, yielding the engine's messages. Raises Refused; just ends at the deadline."""


def resolve_image(
    store: ImageStore, image: str, *, pull: str, on_phase: OnPhase, timeout: float
) -> str:
    """Backend.resolve() for an engine with a store of images."""
    by_id = is_id(image)
    if not by_id:
        # An engine takes no question about such a name, and what it then says is no word of a registry.
        place(image)
    if pull != "always" or by_id:
        found = store.local(image)
        if found is not None:
            return digest_reference(image, found[1]) or found[0]
        if by_id:
            raise ImageNotFound(
                f"There is no image {image} on this machine, and no registry knows an image by its id: "
                "build it here, or name it as its registry does."
            )
        if pull == "never":
            raise ImageNotFound(
                f"There is no image {image} on this machine, and its Environment forbids pulling."
            )
        return _pull(store, image, on_phase=on_phase, timeout=timeout)
    try:
        digest = store.remote_digest(image)
    except Refused as error:
        raise _refusal(image, str(error)) from error
    repository = split_reference(image)[0]
    found = store.local(f"{repository}@{digest}")
    if found is not None:
        return digest_reference(image, found[1], digest) or found[0]
    return _pull(store, image, on_phase=on_phase, timeout=timeout, digest=digest)


def _pull(
    store: ImageStore, image: str, *, on_phase: OnPhase, timeout: float, digest: str = ""
) -> str:
    # By digest where it is known: what was asked for and what comes are then the same.
    wanted = f"{split_reference(image)[0]}@{digest}" if digest else image
    progress = PullProgress(image)
    told, told_at = progress.sentence, time.monotonic()
    on_phase(Phase.PULLING, told)
    deadline = told_at + timeout
    try:
        for message in store.pull(wanted, timeout=timeout):
            if "error" in message:
                raise Refused(str(message["error"]))
            progress.take(message)
            now = time.monotonic()
            if progress.sentence != told and now - told_at >= TELL_EVERY:
                told, told_at = progress.sentence, now
                on_phase(Phase.PULLING, told)
    except Refused as error:
        raise _refusal(image, str(error)) from error
    found = store.local(wanted)
    if found is None:
        if time.monotonic() >= deadline:
            raise RegistryUnavailable(f"Pulling {image} took longer than {timeout:.0f} s.")
        raise RegistryUnavailable(f"Pulling {image} broke off.")
    return digest_reference(image, found[1], digest) or found[0]


def _refusal(image: str, said: str) -> BackendError:
    if not is_denied(said):
        return unavailable(image, said)
    words = said.lower()
    if "denied" in words:
        return denied(image, said)
    return needs_login(image, said) if _any(_NEEDS_LOGIN, words) else not_found(image, said)


def _any(parts: Iterable[str], words: str) -> bool:
    return any(part in words for part in parts)


def not_found(image: str, said: str) -> ImageNotFound:
    return ImageNotFound(f"There is no image {image} for us: {said}")


def needs_login(image: str, said: str) -> ImageNotFound:
    return ImageNotFound(
        f"The registry of {image} needs a login, which belongs into the file that "
        f"RCLUSTER_REGISTRY_AUTH names: {said}"
    )


def denied(image: str, said: str) -> ImageNotFound:
    """Many registries say the same of what is not there as of what we may not have."""
    return ImageNotFound(
        f"The registry of {image} denies it to us: it needs a login, which belongs into the file that "
        f"RCLUSTER_REGISTRY_AUTH names, or there is no such image: {said}"
    )


def unavailable(image: str, said: str) -> RegistryUnavailable:
    return RegistryUnavailable(f"The registry of {image} does not answer: {said}")
