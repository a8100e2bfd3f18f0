"""What was refused leaves an entry, and who asks a hundred times no hundred entries."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from asgiref.sync import async_to_sync
from django.core.cache import cache
from django.test import Client
from redis.exceptions import TimeoutError as RedisIsSlow

from accounts import audit, counting, origins, throttle
from accounts.audit import Action
from accounts.models import ApiToken, AuditEntry, User
from rcluster_site.handler import Handler
from rcluster_site.static import StaticFiles
from tests.factories import PASSWORD, make_token, make_user

pytestmark = pytest.mark.django_db
NEW = "quite-another-horse-7"


@pytest.fixture(autouse=True)
def nothing_counted() -> None:
    cache.clear()


def entries(action: Action) -> list[AuditEntry]:
    return list(AuditEntry.objects.filter(action=action).order_by("id"))


def change(client: Client, old: str, new: str = NEW, again: str = NEW) -> Any:
    form = {"old_password": old, "new_password1": new, "new_password2": again}
    return client.post("/account/password/", form, REMOTE_ADDR="192.0.2.9")


def ask(text: str, address: str = "192.0.2.9") -> None:
    headers = {"Authorization": f"Bearer {text}"}
    answer = Client().get("/api/v1/tasks", headers=headers, REMOTE_ADDR=address)
    assert answer.status_code == 401


def test_throttled_sign_ins_are_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttle, "FREE_TRIES", 2)
    anna = make_user("anna")
    for _ in range(5):
        Client().post("/login/", {"username": "anna", "password": "x"}, REMOTE_ADDR="192.0.2.9")
    (entry,) = entries(Action.SIGN_INS_THROTTLED)
    assert (entry.subject, entry.subject_id) == ("anna", f"person-{anna.pk}")
    assert (entry.address, len(entries(Action.SIGN_IN_FAILED))) == ("192.0.2.9", 2)


def test_an_address_that_tries_every_name_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttle, "FREE_TRIES_OF_ADDRESS", 3)
    for number in range(6):
        Client().post("/login/", {"username": f"my-password-{number}", "password": "x"})
    (entry,) = entries(Action.SIGN_INS_THROTTLED)
    assert entry.subject == "a name that nobody has"


def test_a_wrong_present_password_is_noted_and_tries_are_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(throttle, "FREE_TRIES", 2)
    anna, client = make_user("anna"), Client()
    client.force_login(anna)
    for _ in range(2):
        assert "not your present password" in change(client, "guess").content.decode()
    refused = change(client, PASSWORD)
    assert refused.status_code == 422
    assert "Too many wrong passwords" in refused.content.decode()
    change(client, PASSWORD)
    anna.refresh_from_db()
    assert anna.check_password(PASSWORD)
    (first, _) = entries(Action.PASSWORD_REFUSED)
    assert (first.actor, first.subject, first.address) == (anna, "anna", "192.0.2.9")
    (closed,) = entries(Action.SIGN_INS_THROTTLED)
    assert closed.detail == "on the account page"


def test_the_right_present_password_forgives_slips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttle, "FREE_TRIES", 2)
    anna, client = make_user("anna"), Client()
    client.force_login(anna)
    for _ in range(3):
        change(client, "slip")
        assert "differ" in change(client, PASSWORD, again="another").content.decode()
    assert change(client, PASSWORD).status_code == 302


def test_the_database_pages_change_no_password() -> None:
    boss, client = make_user(staff=True), Client()
    client.force_login(boss)
    answer = client.get("/admin/password_change/")
    assert (answer.status_code, answer["Location"]) == (302, "/account/")
    form = {"old_password": PASSWORD, "new_password1": NEW, "new_password2": NEW}
    assert client.post("/admin/password_change/", form).status_code == 405
    boss.refresh_from_db()
    assert boss.check_password(PASSWORD)


def test_a_token_that_is_none_is_told_once_for_each_address() -> None:
    for _ in range(3):
        ask("rct_guess")
    ask("rct_guess", "192.0.2.10")
    first, second = entries(Action.TOKEN_REFUSED)
    assert [first.address, second.address] == ["192.0.2.9", "192.0.2.10"]
    assert (first.actor, first.via, first.subject_id) == (None, "token", "")
    assert "guess" not in f"{first.subject}{first.detail}"


def test_a_token_that_is_known_is_named() -> None:
    anna = make_user("anna")
    text = make_token(anna)
    User.objects.filter(pk=anna.pk).update(is_active=False)
    ask(text)
    token = ApiToken.objects.get()
    (entry,) = entries(Action.TOKEN_REFUSED)
    assert (entry.subject, entry.subject_id) == (token.name, token.public_id)
    assert entry.detail == "of anna: The account is switched off."
    assert entry.via == f"token {token.name}"


def test_who_is_kept_out_of_the_administration_is_told_once() -> None:
    anna, client = make_user("anna"), Client()
    client.force_login(anna)
    for path in ("/manage/people/", "/manage/audit/", "/api/v1/manage/people"):
        assert client.get(path).status_code == 403
    (entry,) = entries(Action.KEPT_OUT)
    assert (entry.actor, entry.subject, entry.detail) == (anna, "/manage/people/", "GET")


@pytest.mark.django_db(transaction=True)
def test_under_asgi_too() -> None:
    anna = make_user("anna")
    page = Client()
    page.force_login(anna)
    cookies = {name: morsel.value for name, morsel in page.cookies.items()}
    bearer = {"Authorization": f"Bearer {make_token(anna)}"}

    async def statuses() -> list[int]:
        transport = httpx.ASGITransport(StaticFiles(Handler()))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            api = await client.get("/api/v1/manage/audit", headers=bearer)
            client.cookies.update(cookies)
            return [api.status_code, (await client.get("/manage/people/")).status_code]

    assert async_to_sync(statuses)() == [403, 403]
    entry = AuditEntry.objects.get(action=Action.KEPT_OUT)
    assert (entry.actor_name, entry.address) == ("anna", "127.0.0.1")


def test_a_token_without_the_scope_is_kept_out_by_name() -> None:
    boss = make_user("boss", staff=True)
    headers = {"Authorization": f"Bearer {make_token(boss, scopes=['read'])}"}
    assert Client().get("/api/v1/manage/people", headers=headers).status_code == 403
    (entry,) = entries(Action.KEPT_OUT)
    assert (entry.actor, entry.via) == (boss, f"token {ApiToken.objects.get().name}")


def test_uncounted_deeds_are_told_each_time_and_strangers_tries_never(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise RedisIsSlow("gone")

    anna = make_user("anna")
    monkeypatch.setattr(counting._redis().connection_pool, "get_connection", away)
    for _ in range(2):
        audit.note_once("a", seconds=60, actor=anna, action=Action.TASK_FILES)
        audit.note_once("b", seconds=60, actor=None, action=Action.TOKEN_REFUSED)
    assert [entry.actor for entry in AuditEntry.objects.all()] == [anna, anna]
    assert origins.present() == origins.Origin()
