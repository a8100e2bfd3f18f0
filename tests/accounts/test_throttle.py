"""Guessing passwords."""

from __future__ import annotations

import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import reverse

from accounts import throttle
from tests.factories import PASSWORD, make_user

pytestmark = pytest.mark.django_db


TRIES = 3


@pytest.fixture(autouse=True)
def few_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttle, "FREE_TRIES", TRIES)
    cache.clear()


def sign_in(client: Client, username: str, password: str) -> bool:
    client.post(reverse("login"), {"username": username, "password": password})
    return "_auth_user_id" in client.session


def test_after_some_wrong_passwords_even_the_right_one_waits(client: Client) -> None:
    user, other = make_user(), make_user()
    for _ in range(TRIES):
        assert not sign_in(client, user.username, "wrong")
    assert not sign_in(client, user.username, PASSWORD)
    assert sign_in(client, other.username, PASSWORD)


def test_slips_are_forgiven_by_the_right_password(client: Client) -> None:
    user = make_user()
    for _ in range(2):
        for _ in range(TRIES - 1):
            assert not sign_in(client, user.username, "wrong")
        assert sign_in(client, user.username, PASSWORD)
        client.logout()


def test_signing_in_again_never_loops(client: Client) -> None:
    client.force_login(make_user())
    answer = client.get(reverse("login"), {"next": reverse("login")})
    assert (answer.status_code, answer["Location"]) == (302, reverse("home"))
