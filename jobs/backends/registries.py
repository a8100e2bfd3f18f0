"""From a tag to the digest that its registry has for it now, where no Docker engine of ours asks.

A small client of the OCI distribution API: one HEAD of the manifest, after a bearer token if the
registry wants one. https://distribution.github.io/distribution/spec/auth/token/
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import json
import re
import threading
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import parse_http_list, parse_keqv_list

import requests

from jobs.backends.images import denied, is_id, not_found, place, split_reference, unavailable
from jobs.backends.logins import Credential, Logins

MANIFESTS = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)
"""An index first: its digest is right on machines of every kind."""
LONGEST_REQUEST = 15.0
"""seconds without a word from the registry"""
LARGEST_MANIFEST = 8 * 1024**2
LARGEST_TOKEN = 1024**2
LEAST_TOKEN = 60
"""seconds that a token lasts where its giver does not say"""

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class _Authorization(requests.auth.AuthBase):
    """This and nothing else: left to itself, requests puts a password of ~/.netrc in its place."""

    def __init__(self, value: str = "") -> None:
        self._value = value

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._value:
            request.headers["Authorization"] = self._value
        return request


class Registries:
    """Safe to use from several threads."""

    def __init__(self, config: Path | None = None, *, insecure: Collection[str] = ()) -> None:
        """`config`: a Docker config.json. `insecure`: host:port of registries that speak plain HTTP,
        besides those of this machine, as for a Docker engine."""
        self._logins = Logins(config)
        self._insecure = frozenset(insecure)
        self._session = requests.Session()
        self._lock = threading.Lock()
        self._tokens: dict[tuple[str, str], tuple[str, float]] = {}

    def resolve(self, image: str, *, pull: str, timeout: float) -> str:
        """What machines are told to start. "always": the newest of its tag, by digest, which they
        pull where they miss it; otherwise the name as it is, and they use what they have.
        Raises ImageNotFound, RegistryUnavailable."""
        if is_id(image):
            return image
        place(image)
        repository, _, digest = split_reference(image)
        if pull != "always" or digest:
            return image
        return f"{repository}@{self.digest(image, timeout=timeout)}"

    def digest(self, image: str, *, timeout: float) -> str:
        """The digest under which the registry has this image now.
        Raises ImageNotFound, RegistryUnavailable."""
        host, name, tag = place(image)
        question = _Question(image, host, name, time.monotonic() + timeout)
        address = f"{self._scheme(host)}://{host}/v2/{name}/manifests/{tag}"
        answer = self._asked("HEAD", address, question)
        answer.close()
        if answer.status_code == 200:
            told = answer.headers.get("Docker-Content-Digest", "")
            if _DIGEST.fullmatch(told):
                return told
            return self._computed(address, question)
        raise _refused(image, answer)

    def _computed(self, address: str, question: _Question) -> str:
        """Of a registry that does not tell: the digest is that of the manifest's bytes."""
        answer = self._asked("GET", address, question)
        if answer.status_code != 200:
            raise _refused(question.image, answer)
        return f"sha256:{hashlib.sha256(_body(answer, LARGEST_MANIFEST, question)).hexdigest()}"

    def _asked(self, method: str, address: str, question: _Question) -> requests.Response:
        """The registry's answer, with our credentials once it has asked for some."""
        headers = {"Accept": MANIFESTS}
        token = self._kept_token(question)
        answer = self._send(method, address, question, token, headers=headers)
        if answer.status_code != 401:
            return answer
        allowed = self._authorized(answer.headers.get("WWW-Authenticate", ""), question)
        if not allowed:
            return answer
        answer.close()
        return self._send(method, address, question, allowed, headers=headers)

    def _authorized(self, challenge: str, question: _Question) -> str:
        """The Authorization that a registry's challenge wants; "" if we have none."""
        kind, _, rest = challenge.partition(" ")
        credential = self._logins.of(question.host)
        if kind.lower() == "basic":
            return _basic(credential) if credential and credential.username else ""
        if kind.lower() != "bearer":
            return ""
        try:
            fields = parse_keqv_list(parse_http_list(rest))
        except ValueError:
            return ""
        return self._token(fields, credential, question)

    def _token(
        self, challenge: Mapping[str, str], credential: Credential | None, question: _Question
    ) -> str:
        realm = challenge.get("realm", "")
        scheme, host = urlsplit(realm).scheme, urlsplit(realm).netloc
        if scheme != "https" and not (scheme == "http" and self._scheme(host) == "http"):
            raise unavailable(question.image, f"it wants a token from {realm!r}, which is not safe")
        fields = {
            "service": challenge.get("service", ""),
            "scope": challenge.get("scope") or f"repository:{question.name}:pull",
        }
        if credential and credential.identity_token:
            form = {
                **fields,
                "grant_type": "refresh_token",
                "client_id": "r-cluster",
                "refresh_token": credential.identity_token,
            }
            answer = self._send("POST", realm, question, "", data=form)
        else:
            authorization = _basic(credential) if credential and credential.username else ""
            answer = self._send("GET", realm, question, authorization, params=fields)
        if answer.status_code != 200:
            raise _refused(question.image, answer)
        try:
            given = json.loads(_body(answer, LARGEST_TOKEN, question))
            token = given.get("token") or given["access_token"]
            lasts = float(given.get("expires_in") or LEAST_TOKEN)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise unavailable(question.image, f"no token came from {host}") from None
        with self._lock:
            self._tokens[question.host, question.name] = (
                f"Bearer {token}",
                time.monotonic() + lasts - LONGEST_REQUEST,
            )
        return f"Bearer {token}"

    def _kept_token(self, question: _Question) -> str:
        with self._lock:
            token, until = self._tokens.get((question.host, question.name), ("", 0.0))
        return token if time.monotonic() < until else ""

    def _send(
        self, method: str, address: str, question: _Question, authorization: str, **more: Any
    ) -> requests.Response:
        left = question.deadline - time.monotonic()
        if left <= 0:
            raise unavailable(question.image, "it took too long")
        # A proxy of the site's is not for this machine's own registry.
        proxies = {"http": "", "https": ""} if _is_here(urlsplit(address).netloc) else None
        try:
            return self._session.request(
                method,
                address,
                auth=_Authorization(authorization),
                timeout=min(left, LONGEST_REQUEST),
                allow_redirects=True,
                stream=True,
                proxies=proxies,
                **more,
            )
        except requests.exceptions.SSLError as error:
            raise unavailable(
                question.image, f"{question.host} is not trusted: {_cause(error)}"
            ) from error
        except requests.exceptions.Timeout as error:
            raise unavailable(question.image, f"no word from {question.host}") from error
        except requests.exceptions.RequestException as error:
            raise unavailable(question.image, f"{question.host}: {_cause(error)}") from error

    def _scheme(self, host: str) -> str:
        return "http" if _is_here(host) or host in self._insecure else "https"


@dataclass(frozen=True)
class _Question:
    image: str
    host: str
    name: str
    deadline: float


def _is_here(host: str) -> bool:
    """Does this registry run on this machine?"""
    name = urlsplit(f"//{host}").hostname or ""
    try:
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _refused(image: str, answer: requests.Response) -> Exception:
    """HEAD has no body, and the status says enough."""
    answer.close()
    if answer.status_code == 404:
        return not_found(image, "its registry does not have it.")
    if answer.status_code in (401, 403):
        return denied(image, f"it says {answer.status_code} {answer.reason}")
    if answer.status_code == 429:
        return unavailable(image, "we asked too often; it lets us ask again later.")
    return unavailable(image, f"it says {answer.status_code} {answer.reason}")


def _body(answer: requests.Response, most: int, question: _Question) -> bytes:
    """No more than `most` bytes, however long the answer is."""
    body = b""
    try:
        for piece in answer.iter_content(65536):
            body += piece
            if len(body) > most or time.monotonic() > question.deadline:
                raise unavailable(question.image, "its answer does not end")
    except requests.exceptions.RequestException as error:
        raise unavailable(question.image, "its answer broke off") from error
    finally:
        answer.close()
    return body


def _cause(error: BaseException) -> str:
    """The innermost of requests' nested exceptions says it best."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, OSError) and inner.strerror and not _is_requests(inner):
            return inner.strerror
        reason = getattr(inner, "reason", None)
        nested = [each for each in (reason, *inner.args) if isinstance(each, BaseException)]
        inner = nested[0] if nested else inner.__cause__ or inner.__context__
    return "no connection"


def _is_requests(error: BaseException) -> bool:
    return isinstance(error, requests.exceptions.RequestException)


def _basic(credential: Credential) -> str:
    pair = f"{credential.username}:{credential.password}".encode()
    return f"Basic {base64.b64encode(pair).decode()}"
