"""From a tag to a digest, against Debian's docker-registry; token servers are played by a thread."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from jobs.backends.base import ImageNotFound, RegistryUnavailable
from jobs.backends.images import HUB_HOST, place
from jobs.backends.registries import Registries
from tests.contract.registry import Registry

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
SECRET = "$2b$04$0KUnNHsjqwaNIo7rMnXVB.nRfcUB.6I6ceTVeIOA8jnH6GeclbFe6"
"""bcrypt of "secret" """
TIMEOUT = 10.0
A_DIGEST = f"sha256:{'a' * 64}"

needs_registry = pytest.mark.skipif(
    shutil.which("docker-registry") is None, reason="docker-registry is not installed"
)


def digest_of(body: bytes) -> str:
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


def push(registry: str, name: str, tag: str, word: str, **more: Any) -> str:
    """An image of nothing but a configuration; returns its digest."""
    base = f"http://{registry}/v2/{name}"
    blob = json.dumps({"architecture": "amd64", "os": "linux", "config": {"Cmd": [word]}}).encode()
    upload = requests.post(f"{base}/blobs/uploads/", timeout=TIMEOUT, **more)
    upload.raise_for_status()
    requests.put(
        upload.headers["Location"],
        params={"digest": digest_of(blob)},
        data=blob,
        headers={"Content-Type": "application/octet-stream"},
        timeout=TIMEOUT,
        **more,
    ).raise_for_status()
    config = {
        "mediaType": "application/vnd.oci.image.config.v1+json",
        "digest": digest_of(blob),
        "size": len(blob),
    }
    body = json.dumps(
        {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": []}
    ).encode()
    return put_manifest(registry, name, tag, body, MANIFEST, **more)


def put_manifest(registry: str, name: str, tag: str, body: bytes, kind: str, **more: Any) -> str:
    address = f"http://{registry}/v2/{name}/manifests/{tag}"
    headers = {"Content-Type": kind}
    requests.put(address, data=body, headers=headers, timeout=TIMEOUT, **more).raise_for_status()
    return digest_of(body)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    made = Registry(tmp_path_factory.mktemp("registry"))
    made.start()
    yield made
    made.stop()


@pytest.fixture
def registries() -> Registries:
    return Registries()


@needs_registry
class TestARealRegistry:
    def test_a_tag_is_what_it_was_pushed_as_last(
        self, registry: Registry, registries: Registries
    ) -> None:
        image = f"{registry.name}/team/r:1"
        first = push(registry.name, "team/r", "1", "first")
        assert registries.digest(image, timeout=TIMEOUT) == first
        second = push(registry.name, "team/r", "1", "second")
        assert first != second
        assert registries.digest(image, timeout=TIMEOUT) == second

    def test_of_an_index_the_index_itself(self, registry: Registry, registries: Registries) -> None:
        """Not what it has for the portal's own kind of machine."""
        inner = push(registry.name, "team/many", "inner", "amd64")
        size = len(
            requests.get(
                f"http://{registry.name}/v2/team/many/manifests/{inner}",
                headers={"Accept": MANIFEST},
                timeout=TIMEOUT,
            ).content
        )
        entry = {
            "mediaType": MANIFEST,
            "digest": inner,
            "size": size,
            "platform": {"architecture": "amd64", "os": "linux"},
        }
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]}
        pushed = put_manifest(
            registry.name, "team/many", "latest", json.dumps(index).encode(), INDEX
        )
        assert pushed != inner
        assert registries.digest(f"{registry.name}/team/many", timeout=TIMEOUT) == pushed

    def test_what_machines_are_told_to_start(
        self, registry: Registry, registries: Registries
    ) -> None:
        pushed = push(registry.name, "told", "2", "told")
        repository = f"{registry.name}/told"
        always = registries.resolve(f"{repository}:2", pull="always", timeout=TIMEOUT)
        assert always == f"{repository}@{pushed}"
        # The rest asks nobody: there is no such registry.
        for pull in ("missing", "never"):
            for image in ("r-base", "127.0.0.1:1/r:4", "sha256:ab"):
                assert registries.resolve(image, pull=pull, timeout=TIMEOUT) == image
        pinned = f"127.0.0.1:1/r@{A_DIGEST}"
        assert registries.resolve(pinned, pull="always", timeout=TIMEOUT) == pinned

    def test_an_image_that_is_not_there(self, registry: Registry, registries: Registries) -> None:
        push(registry.name, "known", "1", "known")
        for name in ("known:2", "unknown"):
            image = f"{registry.name}/{name}"
            with pytest.raises(ImageNotFound, match=f"no image {image} for us: .*not have it"):
                registries.digest(image, timeout=TIMEOUT)

    def test_a_registry_that_went_away(self, tmp_path: Path, registries: Registries) -> None:
        gone = Registry(tmp_path)
        gone.start()
        push(gone.name, "r", "1", "r")
        image = f"{gone.name}/r:1"
        registries.digest(image, timeout=TIMEOUT)
        gone.stop()
        sentence = f"The registry of {image} does not answer: .*[Cc]onnection refused"
        with pytest.raises(RegistryUnavailable, match=sentence):
            registries.digest(image, timeout=TIMEOUT)
        gone.start()
        try:
            registries.digest(image, timeout=TIMEOUT)
        finally:
            gone.stop()

    def test_a_site_proxy_is_not_asked_for_it(
        self, registry: Registry, registries: Registries, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pushed = push(registry.name, "near", "1", "near")
        for name in ("http_proxy", "HTTP_PROXY"):
            monkeypatch.setenv(name, "http://127.0.0.1:1")
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        assert registries.digest(f"{registry.name}/near:1", timeout=TIMEOUT) == pushed

    def test_a_password_from_a_docker_config(self, tmp_path: Path) -> None:
        logins = tmp_path / "htpasswd"
        logins.write_text(f"portal:{SECRET}\n")
        shut = Registry(tmp_path, more=f"auth: {{htpasswd: {{realm: here, path: '{logins}'}}}}\n")
        shut.start()
        try:
            pushed = push(shut.name, "r", "1", "shut", auth=("portal", "secret"))
            image, config = f"{shut.name}/r:1", tmp_path / "config.json"
            with pytest.raises(ImageNotFound, match="denies it to us"):
                Registries().digest(image, timeout=TIMEOUT)
            registries = Registries(config)
            pair = base64.b64encode(b"portal:wrong").decode()
            config.write_text(json.dumps({"auths": {shut.name: {"auth": pair}}}))
            with pytest.raises(ImageNotFound, match="denies it to us"):
                registries.digest(image, timeout=TIMEOUT)
            pair = base64.b64encode(b"portal:secret").decode()
            config.write_text(json.dumps({"auths": {f"http://{shut.name}/v1/": {"auth": pair}}}))
            assert registries.digest(image, timeout=TIMEOUT) == pushed
        finally:
            shut.stop()


class _Tokens(BaseHTTPRequestHandler):
    """A registry that wants a token, and the server that gives it, in one."""

    asked: ClassVar[list[tuple[str, str, str]]] = []
    """method, address, authorization"""
    challenge: ClassVar[str] = ""
    lasts: ClassVar[int] = 300
    status: ClassVar[int] = 200
    digest: ClassVar[str] = A_DIGEST
    given: ClassVar[bytes | None] = None
    form: ClassVar[str] = ""

    def do_HEAD(self) -> None:
        self._note()
        if self.path.startswith("/moved/"):
            self._answer(200, {"Docker-Content-Digest": self.digest})
        elif self.headers.get("Authorization") != "Bearer good":
            self._answer(401, {"WWW-Authenticate": self.challenge})
        elif self.status == 307:
            self._answer(307, {"Location": f"/moved{self.path}"})
        else:
            told = {"Docker-Content-Digest": self.digest} if self.digest else {}
            self._answer(self.status, told)

    def do_GET(self) -> None:
        self._note()
        if self.path.startswith("/token"):
            token = json.dumps({"access_token": "good", "expires_in": self.lasts}).encode()
            self._answer(200, {}, token if self.given is None else self.given)
        else:
            self._answer(200, {}, b"{}")

    def do_POST(self) -> None:
        type(self).form = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self._note()
        self._answer(200, {}, b'{"token": "good"}')

    def _note(self) -> None:
        self.asked.append((self.command, self.path, self.headers.get("Authorization", "")))

    def _answer(self, status: int, headers: dict[str, str], body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def tokens() -> Iterator[tuple[str, type[_Tokens]]]:
    class Handler(_Tokens):
        asked: ClassVar[list[tuple[str, str, str]]] = []

    with serving(Handler) as host:
        Handler.challenge = (
            f'Bearer realm="http://{host}/token",service="reg",scope="repository:r:pull"'
        )
        yield host, Handler


def test_a_token_that_anybody_gets(
    tokens: tuple[str, type[_Tokens]], registries: Registries
) -> None:
    host, served = tokens
    assert registries.digest(f"{host}/r:1", timeout=TIMEOUT) == A_DIGEST
    assert registries.digest(f"{host}/r:1", timeout=TIMEOUT) == A_DIGEST
    methods = [(method, authorization) for method, _, authorization in served.asked]
    # The second time with the token of the first.
    assert methods == [("HEAD", ""), ("GET", ""), ("HEAD", "Bearer good"), ("HEAD", "Bearer good")]
    fields = parse_qs(urlsplit(served.asked[1][1]).query)
    assert fields == {"service": ["reg"], "scope": ["repository:r:pull"]}


def test_a_token_is_not_used_for_longer_than_it_lasts(
    tokens: tuple[str, type[_Tokens]], registries: Registries
) -> None:
    host, served = tokens
    served.lasts = 1
    for _ in range(2):
        registries.digest(f"{host}/r:1", timeout=TIMEOUT)
    assert [method for method, _, _ in served.asked].count("GET") == 2


def test_a_token_for_a_password_or_an_identity(
    tokens: tuple[str, type[_Tokens]], tmp_path: Path
) -> None:
    host, served = tokens
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"auths": {host: {"username": "me", "password": "pass:word"}}}))
    assert Registries(config).digest(f"{host}/r:1", timeout=TIMEOUT) == A_DIGEST
    pair = base64.b64encode(b"me:pass:word").decode()
    assert served.asked[1][2] == f"Basic {pair}"
    config.write_text(json.dumps({"auths": {host: {"identitytoken": "long one"}}}))
    assert Registries(config).digest(f"{host}/r:1", timeout=TIMEOUT) == A_DIGEST
    assert parse_qs(served.form)["refresh_token"] == ["long one"]


def test_a_password_of_netrc_stays_at_home(
    tokens: tuple[str, type[_Tokens]],
    registries: Registries,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    host, served = tokens
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password mine\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    assert registries.digest(f"{host}/r:1", timeout=TIMEOUT) == A_DIGEST
    assert not any(said.startswith("Basic") for _, _, said in served.asked)


def test_a_token_server_in_the_open_is_not_told_a_password(
    tokens: tuple[str, type[_Tokens]], registries: Registries
) -> None:
    host, served = tokens
    served.challenge = 'Bearer realm="http://registry.example/token",service="reg"'
    with pytest.raises(RegistryUnavailable, match="not safe"):
        registries.digest(f"{host}/r:1", timeout=TIMEOUT)


def test_a_registry_that_does_not_tell_the_digest(
    tokens: tuple[str, type[_Tokens]], registries: Registries
) -> None:
    host, served = tokens
    served.digest = "md5:nonsense"
    assert registries.digest(f"{host}/r:1", timeout=TIMEOUT) == digest_of(b"{}")


def test_a_registry_that_sends_elsewhere(
    tokens: tuple[str, type[_Tokens]], registries: Registries
) -> None:
    host, served = tokens
    served.status = 307
    assert registries.digest(f"{host}/r:1", timeout=TIMEOUT) == A_DIGEST
    assert served.asked[-1][1].startswith("/moved/")


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        (403, ImageNotFound, "denies it"),
        (404, ImageNotFound, "not have it"),
        (429, RegistryUnavailable, "too often"),
        (500, RegistryUnavailable, "500"),
        (503, RegistryUnavailable, "503"),
    ],
)
def test_other_answers(
    tokens: tuple[str, type[_Tokens]],
    registries: Registries,
    status: int,
    error: type[Exception],
    words: str,
) -> None:
    host, served = tokens
    served.status = status
    with pytest.raises(error, match=words):
        registries.digest(f"{host}/r:1", timeout=TIMEOUT)


@pytest.mark.parametrize("given", [b"", b"[]", b"{}", b"no json", b"x" * 2_000_000])
def test_a_token_server_that_talks_nonsense(
    tokens: tuple[str, type[_Tokens]], registries: Registries, given: bytes
) -> None:
    host, served = tokens
    served.given = given
    with pytest.raises(RegistryUnavailable, match=r"no token|does not end"):
        registries.digest(f"{host}/r:1", timeout=TIMEOUT)


@pytest.mark.parametrize(
    "challenge", ["", "Bearer", "Bearer nonsense", "Negotiate", "Basic realm=x"]
)
def test_a_challenge_that_we_cannot_meet(
    tokens: tuple[str, type[_Tokens]], registries: Registries, challenge: str
) -> None:
    host, served = tokens
    served.challenge = challenge
    with pytest.raises((ImageNotFound, RegistryUnavailable)):
        registries.digest(f"{host}/r:1", timeout=TIMEOUT)


def test_a_registry_that_says_nothing(registries: Registries) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        host = f"127.0.0.1:{mute.getsockname()[1]}"
        with pytest.raises(RegistryUnavailable, match=f"no word from {host}"):
            registries.digest(f"{host}/r:1", timeout=0.2)
    with pytest.raises(RegistryUnavailable, match="too long"):
        registries.digest("127.0.0.1:1/r:1", timeout=0)


def test_https_unless_it_is_said_to_be_insecure(
    tokens: tuple[str, type[_Tokens]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one on this machine is asked by a name that is not known to be this machine's."""
    host, served = tokens
    port = host.rpartition(":")[2]
    served.challenge = served.challenge.replace("127.0.0.1", "registry.test")
    real = socket.getaddrinfo

    def resolve(name: str, *rest: Any, **more: Any) -> Any:
        return real("127.0.0.1" if name == "registry.test" else name, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    image = f"registry.test:{port}/r:1"
    with pytest.raises(RegistryUnavailable, match=r"registry\.test"):
        Registries().digest(image, timeout=TIMEOUT)
    assert not served.asked
    assert Registries(insecure=[f"registry.test:{port}"]).digest(image, timeout=TIMEOUT) == A_DIGEST


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("r-base", (HUB_HOST, "library/r-base", "latest")),
        ("rocker/r-ver:4.4", (HUB_HOST, "rocker/r-ver", "4.4")),
        ("docker.io/library/r-base:4", (HUB_HOST, "library/r-base", "4")),
        ("docker.io/r-base", (HUB_HOST, "library/r-base", "latest")),
        ("ghcr.io/a/b/c:1", ("ghcr.io", "a/b/c", "1")),
        ("localhost/r", ("localhost", "r", "latest")),
        ("[::1]:5000/r:1", ("[::1]:5000", "r", "1")),
        (f"host:5000/r@{A_DIGEST}", ("host:5000", "r", A_DIGEST)),
    ],
)
def test_where_an_image_lies(image: str, expected: tuple[str, str, str]) -> None:
    assert place(image) == expected


@pytest.mark.parametrize(
    "image",
    ["", "Upper/r", "r:a b", "--privileged", "a//b", "../r", ".../r", "ho st.x/r", "h.x/r@sha256:1",
     "user@h.example/r", "h.example/r?x=1", "h.example:99999999/r", "r:1\n"],
)  # fmt: skip
def test_what_is_no_name(registries: Registries, image: str) -> None:
    for pull in ("always", "missing", "never"):
        with pytest.raises(ImageNotFound, match="no name of an image"):
            registries.resolve(image, pull=pull, timeout=TIMEOUT)
