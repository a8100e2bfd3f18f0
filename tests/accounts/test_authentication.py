"""Tokens: who they are, when they stop working, what is remembered of their use."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import AnonymousUser
from django.test import Client, RequestFactory
from django.utils import timezone
from pytest_django.fixtures import DjangoAssertNumQueries
from rest_framework.exceptions import AuthenticationFailed

from accounts.authentication import token_of, user_of
from accounts.models import ApiToken, User
from tests.factories import PASSWORD, make_token, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def user() -> User:
    return make_user("ada")


def test_a_token_is_its_user_and_only_its_hash_is_kept(user: User) -> None:
    text = make_token(user)
    for header in (f"Bearer {text}", f"bearer {text}", f"BEARER  {text} "):
        token = token_of(header)
        assert token is not None
        assert token.user == user
    kept = ApiToken.objects.values().get()
    assert text not in str(kept)


@pytest.mark.parametrize("header", ["", "Basic YWRhOng=", "Token x", "rct_x"])
def test_other_headers_are_left_to_others(header: str) -> None:
    assert token_of(header) is None


@pytest.mark.parametrize("text", ["", "rct_wrong", "x" * 100_000, "\0", "ü", "rct_" + "é" * 10])
def test_a_wrong_token_is_refused_even_with_a_session(user: User, text: str) -> None:
    with pytest.raises(AuthenticationFailed, match="revoked or mistyped"):
        token_of(f"Bearer {text}")
    client = Client()
    client.force_login(user)
    response = client.get("/api/v1/me", headers={"Authorization": "Bearer rct_wrong"})
    assert response.status_code == 401


def test_expired_revoked_and_switched_off(user: User) -> None:
    expired = make_token(user, lifetime=-timedelta(days=2))
    day = timezone.now() - timedelta(days=2)
    with pytest.raises(AuthenticationFailed, match=f"expired on {day:%Y-%m-%d}"):
        token_of(f"Bearer {expired}")
    text = make_token(user)
    user.is_active = False
    user.save()
    with pytest.raises(AuthenticationFailed, match="switched off"):
        token_of(f"Bearer {text}")
    user.is_active = True
    user.save()
    assert token_of(f"Bearer {text}")
    ApiToken.objects.filter(digest=ApiToken.digest_of(text)).delete()
    with pytest.raises(AuthenticationFailed, match="revoked"):
        token_of(f"Bearer {text}")


def test_use_is_noted_once_a_minute(
    user: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    header = f"Bearer {make_token(user)}"
    with django_assert_num_queries(2):
        token_of(header)
    first = ApiToken.objects.get().last_used_at
    assert first is not None
    with django_assert_num_queries(1):
        token_of(header)
    ApiToken.objects.update(last_used_at=first - timedelta(seconds=61))
    token_of(header)
    used = ApiToken.objects.get().last_used_at
    assert used is not None
    assert used >= first


def test_user_of_a_plain_django_request(user: User) -> None:
    requests = RequestFactory()
    request = requests.get("/", headers={"Authorization": f"Bearer {make_token(user)}"})
    request.user = AnonymousUser()
    assert user_of(request) == user
    request = requests.get("/")
    request.user = user
    assert user_of(request) == user
    user.is_active = False
    assert not user_of(request).is_authenticated
    request.user = AnonymousUser()
    assert not user_of(request).is_authenticated


def test_administrators_see_and_revoke_tokens_and_make_none(user: User) -> None:
    token, text = ApiToken.issue(user=user, name="laptop")
    admin = Client()
    make_user("root", staff=True)
    admin.login(username="root", password=PASSWORD)
    listed = admin.get("/admin/accounts/apitoken/")
    assert b"laptop" in listed.content
    assert token.digest.encode() not in listed.content
    assert admin.get("/admin/accounts/apitoken/add/").status_code == 403
    assert (
        admin.post(f"/admin/accounts/apitoken/{token.pk}/change/", {"name": "x"}).status_code == 403
    )
    assert admin.get("/admin/accounts/user/").status_code == 200
    admin.post(f"/admin/accounts/apitoken/{token.pk}/delete/", {"post": "yes"})
    with pytest.raises(AuthenticationFailed):
        token_of(f"Bearer {text}")
