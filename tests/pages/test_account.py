"""Signing in and out, the password, tokens, colours."""

from __future__ import annotations

import re

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import ApiToken, AuditEntry, User
from tests.factories import PASSWORD, make_token, make_user

pytestmark = pytest.mark.django_db


def test_sign_in_and_come_back(client: Client, anna: User) -> None:
    response = client.post(
        "/login/?next=/cluster/", {"username": "anna", "password": PASSWORD, "next": "/cluster/"}
    )
    assert response.headers["Location"] == "/cluster/"
    assert client.get("/login/").headers["Location"] == "/"


def test_sign_in_goes_to_no_other_site(client: Client, anna: User) -> None:
    response = client.post(
        "/login/", {"username": "anna", "password": PASSWORD, "next": "https://evil.example/"}
    )
    assert response.headers["Location"] == "/"


def test_a_wrong_password_is_a_sentence(client: Client, anna: User) -> None:
    page = client.post("/login/", {"username": "anna", "password": "wrong"}).content.decode()
    assert "belong together" in page
    assert 'role="alert"' in page


def test_sign_out_needs_post(anna_client: Client) -> None:
    assert anna_client.get("/logout/").status_code == 405
    assert anna_client.post("/logout/").headers["Location"] == "/login/"
    assert anna_client.get("/").status_code == 302


def test_a_token_is_shown_once_and_works(anna_client: Client, anna: User) -> None:
    asked = {"name": "nightly", "scopes": ["files", "read"], "days": "7"}
    page = anna_client.post("/account/tokens/", asked).content.decode()
    found = re.search(r"rct_[\w-]+", page)
    assert found
    token = ApiToken.objects.get(user=anna)
    assert token.digest == ApiToken.digest_of(found.group())
    assert token.scopes == ["read", "files"]
    assert 6.9 < (token.expires_at - timezone.now()).total_seconds() / 86400 < 7.1
    made = AuditEntry.objects.get(action="token.made")
    assert (made.actor, made.subject, made.via) == (anna, "nightly", "page")
    assert "rct_" not in anna_client.get("/account/").content.decode()


@pytest.mark.parametrize("name", ["", "taken"])
def test_a_token_needs_a_name_of_its_own(anna_client: Client, anna: User, name: str) -> None:
    ApiToken.issue(user=anna, name="taken")
    response = anna_client.post(
        "/account/tokens/", {"name": name, "scopes": ["read"], "days": "90"}
    )
    assert response.status_code == 422
    assert 'class="error"' in response.content.decode()


def test_a_token_needs_a_purpose_and_an_end(anna_client: Client) -> None:
    for wrong in (
        {"name": "x", "days": "7"},
        {"name": "x", "scopes": ["root"], "days": "7"},
        {"name": "x", "scopes": ["read"], "days": "5000"},
    ):
        assert anna_client.post("/account/tokens/", wrong).status_code == 422
    assert not ApiToken.objects.exists()


def test_only_my_tokens_can_be_revoked(anna_client: Client, anna: User) -> None:
    mine, _ = ApiToken.issue(user=anna, name="mine")
    make_token(make_user("bert"))
    theirs = ApiToken.objects.get(user__username="bert")
    assert anna_client.post(f"/account/tokens/{theirs.public_id}/revoke/").status_code == 404
    assert anna_client.post(f"/account/tokens/{mine.public_id}/revoke/").status_code == 302
    assert list(ApiToken.objects.all()) == [theirs]


def test_a_new_password_keeps_this_session_and_ends_others(anna_client: Client, anna: User) -> None:
    other = Client()
    other.force_login(anna)
    new = "quite-another-horse-7"
    fields = {"old_password": PASSWORD, "new_password1": new, "new_password2": new}
    assert anna_client.post("/account/password/", fields).status_code == 302
    assert anna_client.get("/account/").status_code == 200
    assert other.get("/account/").status_code == 302


def test_a_password_is_not_changed_without_the_present_one(anna_client: Client, anna: User) -> None:
    new = "quite-another-horse-7"
    response = anna_client.post(
        "/account/password/", {"old_password": "x", "new_password1": new, "new_password2": new}
    )
    assert response.status_code == 422
    assert "not your present password" in response.content.decode()
    anna.refresh_from_db()
    assert anna.check_password(PASSWORD)


def test_colours_are_known_before_the_first_paint(anna_client: Client) -> None:
    assert '<html lang="en">' in anna_client.get("/account/").content.decode()
    anna_client.post("/account/theme/", {"theme": "dark"})
    assert '<html lang="en" data-theme="dark">' in anna_client.get("/").content.decode()
    anna_client.post("/account/theme/", {"theme": ""})
    assert '<html lang="en">' in anna_client.get("/").content.decode()
