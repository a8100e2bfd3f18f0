"""Every address with every method and every socket, for everybody: who gets in, and who learns nothing.

The addresses come from the URL configuration, what shall become of them from TABLE: one that is not
there fails. Rows are undone after each request.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from asgiref.testing import ApplicationCommunicator
from channels.db import database_sync_to_async
from django.conf import settings as site
from django.test import Client
from pytest_django.fixtures import Settings

from accounts.models import Scope
from jobs.api.base import ApiView
from jobs.routing import websocket_urlpatterns
from rcluster_site.asgi import application
from tests.conftest import mark_storage
from tests.factories import make_token
from tests.site.matrix import (
    METHODS,
    PEOPLE,
    UNSAFE,
    Scene,
    add_clients,
    make_scene,
    outcome,
    routes,
)

LEVELS = {
    "open": "++++++",
    "person": "-+++++",
    "viewer": "-0++++",
    "editor": "-0x+++",
    "owner": "-0xx++",
    "keeper": "-000++",  # what lies in the bin
    "self": "-000+0",  # tokens: not even staff
    "leaver": "-0+x++",  # the viewer's membership: they may end it themselves
    "staff": "-xxxx+",
    "admin": "-----+",
    "none": "-00000",
}
"""What each of PEOPLE meets, see tests/site/matrix.py: outcome()."""

# method, level, scope of a token (any: every token; -: no token helps, it is a page), address
TABLE = """
GET    person -      /
GET    person -      /account/
GET    open   -      /account/choose/<str:uidb64>/<str:token>/
POST   open   -      /account/choose/<str:uidb64>/<str:token>/
POST   person -      /account/password/
POST   open   -      /account/theme/
POST   person -      /account/tokens/
POST   self   -      /account/tokens/<slug:token>/revoke/
GET    admin  -      /admin/
GET    open   -      /admin/password_change/
GET    person -      /cluster/
POST   staff  -      /cluster/machines/<int:machine>/drain/
GET    staff  -      /cluster/machines/<int:machine>/lost/
POST   staff  -      /cluster/machines/<int:machine>/lost/
GET    person -      /cluster/now/
GET    staff  -      /cluster/register-anew/
POST   staff  -      /cluster/register-anew/
POST   staff  -      /cluster/runs/<public_id:run>/priority/
GET    person -      /datasets/
POST   person -      /datasets/
GET    viewer -      /datasets/<public_id:dataset>/
POST   editor -      /datasets/<public_id:dataset>/change/
POST   owner  -      /datasets/<public_id:dataset>/delete/
GET    viewer -      /datasets/<public_id:dataset>/now/
GET    keeper -      /datasets/<public_id:dataset>/purge/
POST   keeper -      /datasets/<public_id:dataset>/purge/
POST   keeper -      /datasets/<public_id:dataset>/restore/
POST   owner  -      /datasets/<public_id:dataset>/share/
GET    open   -      /healthz
GET    open   -      /login/
POST   open   -      /login/
POST   open   -      /logout/
GET    staff  -      /manage/
GET    staff  -      /manage/announcements/
POST   staff  -      /manage/announcements/
GET    staff  -      /manage/announcements/<int:announcement>/
POST   staff  -      /manage/announcements/<int:announcement>/
POST   staff  -      /manage/announcements/<int:announcement>/end/
GET    staff  -      /manage/audit.csv
GET    staff  -      /manage/audit/
GET    staff  -      /manage/environments/
GET    staff  -      /manage/environments/<slug:slug>/
POST   staff  -      /manage/environments/<slug:slug>/check/
POST   staff  -      /manage/environments/<slug:slug>/default/
GET    staff  -      /manage/environments/<slug:slug>/edit/
POST   staff  -      /manage/environments/<slug:slug>/edit/
GET    staff  -      /manage/environments/<slug:slug>/now/
GET    staff  -      /manage/environments/<slug:slug>/retire/
POST   staff  -      /manage/environments/<slug:slug>/retire/
GET    staff  -      /manage/environments/new/
POST   staff  -      /manage/environments/new/
GET    staff  -      /manage/environments/now/
GET    staff  -      /manage/now/
GET    staff  -      /manage/people/
GET    staff  -      /manage/people/<int:person>/
POST   staff  -      /manage/people/<int:person>/delete/
POST   staff  -      /manage/people/<int:person>/hand-over/
POST   staff  -      /manage/people/<int:person>/limits/
POST   staff  -      /manage/people/<int:person>/link/
POST   staff  -      /manage/people/<int:person>/mail/
POST   staff  -      /manage/people/<int:person>/staff/
POST   staff  -      /manage/people/<int:person>/switch/
GET    staff  -      /manage/people/add/
POST   staff  -      /manage/people/add/
GET    staff  -      /manage/people/limits/
POST   staff  -      /manage/people/limits/
POST   staff  -      /manage/runs/<public_id:run>/cancel/
GET    staff  -      /manage/site/
POST   staff  -      /manage/site/
GET    staff  read   /metrics
GET    person -      /notices/
GET    person -      /now/
GET    open   -      /o/<public_id:published_id>/
GET    open   -      /o/<public_id:published_id>/<any:path>
GET    person -      /people/
GET    open   -      /readyz
GET    viewer -      /runs/<public_id:run>/
POST   editor -      /runs/<public_id:run>/again/
POST   editor -      /runs/<public_id:run>/cancel/
GET    editor -      /runs/<public_id:run>/change/
POST   editor -      /runs/<public_id:run>/change/
GET    viewer -      /runs/<public_id:run>/live/
GET    viewer -      /runs/<public_id:run>/preview/
GET    person -      /tasks/
GET    viewer -      /tasks/<public_id:task>/
POST   owner  -      /tasks/<public_id:task>/archive/
POST   editor -      /tasks/<public_id:task>/copy/
GET    viewer -      /tasks/<public_id:task>/copying/
POST   viewer -      /tasks/<public_id:task>/datasets/
POST   owner  -      /tasks/<public_id:task>/delete/
POST   viewer -      /tasks/<public_id:task>/duplicate/
GET    viewer -      /tasks/<public_id:task>/free/
GET    viewer -      /tasks/<public_id:task>/history/
POST   viewer -      /tasks/<public_id:task>/leave/
POST   owner  -      /tasks/<public_id:task>/publish/
GET    keeper -      /tasks/<public_id:task>/purge/
POST   keeper -      /tasks/<public_id:task>/purge/
POST   keeper -      /tasks/<public_id:task>/restore/
GET    viewer -      /tasks/<public_id:task>/runs/<public_id:run>/
GET    viewer -      /tasks/<public_id:task>/settings/
POST   editor -      /tasks/<public_id:task>/settings/
POST   owner  -      /tasks/<public_id:task>/share/
POST   owner  -      /tasks/<public_id:task>/transfer/
POST   owner  -      /tasks/<public_id:task>/unshare/
POST   person -      /tasks/examples/<slug:slug>/
GET    person -      /tasks/new/
POST   person -      /tasks/new/
GET    open   any    /api/docs/
GET    none   read   /api/v1/<any:rest>
GET    person read   /api/v1/announcements
GET    person read   /api/v1/cluster
POST   staff  manage /api/v1/cluster/machines/<str:machine>/declare-lost
POST   staff  manage /api/v1/cluster/machines/<str:machine>/drain
POST   staff  manage /api/v1/cluster/machines/<str:machine>/undrain
POST   staff  manage /api/v1/cluster/register-anew
GET    person read   /api/v1/datasets
POST   person files  /api/v1/datasets
GET    viewer read   /api/v1/datasets/<str:dataset>
PATCH  editor manage /api/v1/datasets/<str:dataset>
DELETE owner  manage /api/v1/datasets/<str:dataset>
GET    viewer read   /api/v1/datasets/<str:dataset>/files
POST   editor files  /api/v1/datasets/<str:dataset>/files
GET    viewer read   /api/v1/datasets/<str:dataset>/files/<any:path>
POST   editor files  /api/v1/datasets/<str:dataset>/files/<any:path>
PUT    editor files  /api/v1/datasets/<str:dataset>/files/<any:path>
PATCH  editor files  /api/v1/datasets/<str:dataset>/files/<any:path>
DELETE editor files  /api/v1/datasets/<str:dataset>/files/<any:path>
GET    viewer read   /api/v1/datasets/<str:dataset>/members
PUT    owner  manage /api/v1/datasets/<str:dataset>/members/<str:username>
DELETE leaver manage /api/v1/datasets/<str:dataset>/members/<str:username>
POST   keeper manage /api/v1/datasets/<str:dataset>/purge
POST   keeper manage /api/v1/datasets/<str:dataset>/restore
POST   owner  manage /api/v1/datasets/<str:dataset>/transfer
GET    person read   /api/v1/environments
POST   staff  manage /api/v1/environments
GET    person read   /api/v1/environments/<str:environment>
PATCH  staff  manage /api/v1/environments/<str:environment>
POST   staff  manage /api/v1/environments/<str:environment>/check
GET    staff  manage /api/v1/manage/announcements
POST   staff  manage /api/v1/manage/announcements
PATCH  staff  manage /api/v1/manage/announcements/<int:announcement>
DELETE staff  manage /api/v1/manage/announcements/<int:announcement>
GET    staff  manage /api/v1/manage/audit
GET    staff  manage /api/v1/manage/audit.csv
GET    staff  manage /api/v1/manage/limits
PUT    staff  manage /api/v1/manage/limits
DELETE staff  manage /api/v1/manage/limits
GET    staff  manage /api/v1/manage/people
POST   staff  manage /api/v1/manage/people
GET    staff  manage /api/v1/manage/people/<str:username>
PATCH  staff  manage /api/v1/manage/people/<str:username>
DELETE staff  manage /api/v1/manage/people/<str:username>
POST   staff  manage /api/v1/manage/people/<str:username>/hand-over
GET    staff  manage /api/v1/manage/people/<str:username>/limits
PUT    staff  manage /api/v1/manage/people/<str:username>/limits
DELETE staff  manage /api/v1/manage/people/<str:username>/limits
POST   staff  manage /api/v1/manage/people/<str:username>/password-link
GET    staff  manage /api/v1/manage/people/<str:username>/tokens
DELETE staff  manage /api/v1/manage/people/<str:username>/tokens/<str:token>
GET    staff  manage /api/v1/manage/site
PATCH  staff  manage /api/v1/manage/site
GET    person read   /api/v1/me
GET    person read   /api/v1/people
GET    person read   /api/v1/runs
GET    viewer read   /api/v1/runs/<str:run>
POST   editor run    /api/v1/runs/<str:run>/again
POST   editor run    /api/v1/runs/<str:run>/cancel
GET    viewer read   /api/v1/runs/<str:run>/log
GET    viewer read   /api/v1/runs/<str:run>/log/position
GET    viewer read   /api/v1/runs/<str:run>/log/search
POST   staff  manage /api/v1/runs/<str:run>/priority
GET    open   any    /api/v1/schema/
GET    person read   /api/v1/tasks
POST   person run    /api/v1/tasks
GET    viewer read   /api/v1/tasks/<str:task>
PATCH  editor run    /api/v1/tasks/<str:task>
DELETE owner  manage /api/v1/tasks/<str:task>
POST   editor run    /api/v1/tasks/<str:task>/copy
DELETE editor run    /api/v1/tasks/<str:task>/copy
POST   viewer run    /api/v1/tasks/<str:task>/duplicate
GET    viewer read   /api/v1/tasks/<str:task>/files/<str:area>
POST   editor files  /api/v1/tasks/<str:task>/files/<str:area>
GET    viewer read   /api/v1/tasks/<str:task>/files/<str:area>/<any:path>
POST   editor files  /api/v1/tasks/<str:task>/files/<str:area>/<any:path>
PUT    editor files  /api/v1/tasks/<str:task>/files/<str:area>/<any:path>
PATCH  editor files  /api/v1/tasks/<str:task>/files/<str:area>/<any:path>
DELETE editor files  /api/v1/tasks/<str:task>/files/<str:area>/<any:path>
GET    viewer read   /api/v1/tasks/<str:task>/members
PUT    owner  manage /api/v1/tasks/<str:task>/members/<str:username>
DELETE leaver manage /api/v1/tasks/<str:task>/members/<str:username>
POST   keeper manage /api/v1/tasks/<str:task>/purge
POST   keeper manage /api/v1/tasks/<str:task>/restore
GET    viewer read   /api/v1/tasks/<str:task>/runs
POST   editor run    /api/v1/tasks/<str:task>/runs
POST   owner  manage /api/v1/tasks/<str:task>/transfer
GET    person read   /api/v1/tokens
POST   person manage /api/v1/tokens
DELETE self   manage /api/v1/tokens/<str:token>
"""
ROWS = {
    (method, route): (level, scope)
    for method, level, scope, route in (
        line.split(maxsplit=3) for line in TABLE.strip().splitlines()
    )
}
LENIENT = ("/admin/", "/login/", "/account/choose/<str:uidb64>/<str:token>/", "/api/v1/<any:rest>")
"""Django's own, and the address of what is not there: the same answer to whatever method"""
FOLDER, MOVE = {"folder": "new"}, {"path": "other.R"}
BODIES: dict[tuple[str, str], Any] = {
    ("POST", "/api/v1/tasks/<str:task>/files/<str:area>"): FOLDER,
    ("POST", "/api/v1/tasks/<str:task>/files/<str:area>/<any:path>"): FOLDER,
    ("PATCH", "/api/v1/tasks/<str:task>/files/<str:area>/<any:path>"): MOVE,
    ("POST", "/api/v1/datasets/<str:dataset>/files"): FOLDER,
    ("POST", "/api/v1/datasets/<str:dataset>/files/<any:path>"): FOLDER,
    ("PATCH", "/api/v1/datasets/<str:dataset>/files/<any:path>"): MOVE,
    ("PATCH", "/api/v1/datasets/<str:dataset>"): {"description": "new"},
    ("PUT", "/api/v1/datasets/<str:dataset>/members/<str:username>"): {"role": "reader"},
    ("POST", "/api/v1/tasks/<str:task>/runs"): {"command": "ls"},
    ("PATCH", "/api/v1/tasks/<str:task>"): {"name": "New"},
    ("POST", "/datasets/<public_id:dataset>/change/"): {"description": "new"},
    ("POST", "/datasets/<public_id:dataset>/share/"): {"username": "stranger", "role": "reader"},
}


@pytest.fixture
def scene(db: None, tmp_path: Path, settings: Settings) -> Scene:
    settings.RCLUSTER_STORAGE = mark_storage(tmp_path / "storage")
    settings.RCLUSTER_USER = "nobody"
    settings.RCLUSTER_RATE_REQUESTS = settings.RCLUSTER_RATE_ANONYMOUS = 0
    scene = make_scene()
    add_clients(scene)
    return scene


def test_every_address_is_in_the_table() -> None:
    known = {f"/{route}" for route, _ in routes()}
    declared = {route for _, route in ROWS}
    assert known - declared == set()
    assert declared - known == set()


def test_who_gets_in(scene: Scene) -> None:
    """Everybody at every address, with each method that it takes."""
    wrong = []
    for (method, route), (level, _) in ROWS.items():
        found = ""
        for who in PEOPLE:
            if method in ("PATCH", "DELETE"):
                scene.restore()
            found += scene.ask(who, method, scene.address(route[1:]), BODIES.get((method, route)))
        if found != LEVELS[level]:
            wrong.append(f"{method} {route}: {found}, not {LEVELS[level]} ({level})")
    assert not wrong, "\n".join(wrong)


def test_what_a_token_opens(scene: Scene) -> None:
    """Each scope alone, of the owner (of an administrator, where only those get in)."""
    wrong = []
    for (method, route), (level, scope) in ROWS.items():
        whose = "staff" if level == "staff" else "owner"
        inside = "0" if level == "none" else "+"
        for each in Scope:
            if method in ("PATCH", "DELETE"):
                scene.restore()
            address = scene.address(route[1:])
            found = scene.ask(
                f"{whose}'s {each.value}", method, address, BODIES.get((method, route))
            )
            expected = inside if scope in (each.value, "any") else "x"
            if scope == "-":
                # A page: a token is nothing to it, and no CSRF token comes along.
                expected = "x" if method in UNSAFE else LEVELS[level][0]
            if found != expected:
                wrong.append(f"{method} {route}, {each.value}: {found}, not {expected}")
    assert not wrong, "\n".join(wrong)


def test_no_other_method_is_taken(scene: Scene) -> None:
    wrong = []
    for route, _ in routes():
        for method in METHODS:
            declared = ("GET", f"/{route}") if method == "HEAD" else (method, f"/{route}")
            if declared in ROWS or f"/{route}" in LENIENT:
                continue
            found = scene.ask("staff", method, scene.address(route))
            if found != "m":
                wrong.append(f"{method} /{route}: {found}")
    assert not wrong, "\n".join(wrong)


def test_nothing_is_changed_without_the_pages_csrf_token(scene: Scene) -> None:
    wrong = []
    for method, route in ROWS:
        if method not in UNSAFE:
            continue
        for who in ("anonymous", "owner", "staff"):
            found = scene.ask(
                f"{who} without CSRF",
                method,
                scene.address(route[1:]),
                BODIES.get((method, route)),
            )
            if found not in ("x", "-", "0"):
                wrong.append(f"{method} {route}, {who}: {found}")
    assert not wrong, "\n".join(wrong)


def test_every_method_of_the_api_says_which_scope_it_needs() -> None:
    """One that does not can be used by no token."""
    missing = [
        f"{method} {view.__name__}"
        for view in {getattr(pattern.callback, "cls", None) for _, pattern in routes()}
        if view is not None and issubclass(view, ApiView)
        for method in UNSAFE
        if hasattr(view, method.lower()) and view.scope_of(method) is None
    ]
    assert not missing


# Sockets: the code with which each is closed at once; None: it stays open. PEOPLE, then each Scope.
SOCKETS = {
    r"^ws/events/$": (
        "/ws/events/",
        (4401, None, None, None, None, None),
        (None, 4403, 4403, 4403),
    ),
    r"^ws/runs/": (
        "/ws/runs/{run}/",
        (4401, 4404, None, None, None, None),
        (None, 4403, 4403, 4403),
    ),
}


def test_every_socket_is_here() -> None:
    for each in websocket_urlpatterns:
        assert any(str(each.pattern).startswith(start) for start in SOCKETS), each.pattern


@pytest.mark.django_db(transaction=True)
async def test_who_may_open_a_socket(tmp_path: Path, settings: Settings) -> None:
    def prepare() -> tuple[Scene, dict[str, str], list[str]]:
        settings.RCLUSTER_STORAGE = mark_storage(tmp_path / "storage")
        settings.RCLUSTER_USER = "nobody"
        scene = make_scene()
        sessions = {}
        for name, user in scene.people.items():
            client = Client()
            client.force_login(user)
            sessions[name] = client.cookies[site.SESSION_COOKIE_NAME].value
        tokens = [make_token(scene.people["owner"], scopes=[scope.value]) for scope in Scope]
        return scene, sessions, tokens

    scene, sessions, tokens = await database_sync_to_async(prepare)()
    wrong = []
    for address, of_people, of_scopes in SOCKETS.values():
        there = address.format(**scene.ids)
        for who, expected in zip(PEOPLE, of_people, strict=True):
            cookie = f"{site.SESSION_COOKIE_NAME}={sessions.get(who, '')}".encode()
            headers = [
                (b"origin", b"http://localhost"),
                (b"host", b"localhost"),
                (b"cookie", cookie),
            ]
            found = await _closed_with(there, headers)
            if found != expected:
                wrong.append(f"{address} {who}: {found}, not {expected}")
        for scope, token, expected in zip(Scope, tokens, of_scopes, strict=True):
            found = await _closed_with(there, [(b"authorization", f"Bearer {token}".encode())])
            if found != expected:
                wrong.append(f"{address} token for {scope.value}: {found}, not {expected}")
    assert not wrong, "\n".join(wrong)


async def _closed_with(address: str, headers: list[tuple[bytes, bytes]]) -> int | None:
    """Its close code; None if the socket is open, or says something first."""
    scope = {"type": "websocket", "path": address, "query_string": b"", "headers": headers}
    # asgiref has no types
    socket: Any = ApplicationCommunicator(application, {**scope, "subprotocols": []})  # type: ignore[no-untyped-call]
    await socket.send_input({"type": "websocket.connect"})
    said = await socket.receive_output(timeout=10)
    if said["type"] == "websocket.accept":
        if await socket.receive_nothing(timeout=0.3, interval=0.02):
            said = {}
        else:
            said = await socket.receive_output(timeout=5)
    await socket.send_input({"type": "websocket.disconnect", "code": 1000})
    await socket.wait(timeout=5)
    return int(said["code"]) if said.get("type") == "websocket.close" else None


def test_the_outcomes_are_told_apart() -> None:
    """A test of the test: what is let in is not what is sent to the login."""
    client = Client()
    assert outcome(client.get("/account/")) == "-"
    assert outcome(client.get("/healthz")) == "+"
    assert outcome(client.post("/healthz")) == "m"
