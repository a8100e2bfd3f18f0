"""Guessing passwords."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth import forms
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


def test_tries_that_come_at_once_are_counted_before_any_is_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As if all were being looked at when the first is found wrong."""
    user = make_user()
    looked_at: list[str] = []

    def slow(request: Any, username: str, password: str) -> None:
        looked_at.append(password)
        if len(looked_at) < 20:
            sign_in(Client(), username, f"guess {len(looked_at)}")

    monkeypatch.setattr(forms, "authenticate", slow)
    sign_in(Client(), user.username, "guess 0")
    assert len(looked_at) == TRIES


def test_the_administrators_door_counts_as_well() -> None:
    user = make_user(staff=True)
    client = Client()
    for _ in range(TRIES):
        client.post(reverse("admin:login"), {"username": user.username, "password": "wrong"})
    client.post(reverse("admin:login"), {"username": user.username, "password": PASSWORD})
    assert "_auth_user_id" not in client.session
    cache.clear()
    client.post(reverse("admin:login"), {"username": user.username, "password": PASSWORD})
    assert "_auth_user_id" in client.session


def test_one_address_can_try_only_so_many_accounts(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the right password of one of them buys no more tries for the others."""
    monkeypatch.setattr(throttle, "FREE_TRIES_OF_ADDRESS", 5)
    own, victim = make_user(), make_user()
    for number in range(5):
        assert sign_in(Client(), own.username, PASSWORD)
        assert not sign_in(Client(), f"nobody{number}", "wrong")
    assert not sign_in(Client(), victim.username, PASSWORD)
    assert sign_in(Client(REMOTE_ADDR="192.0.2.7"), victim.username, PASSWORD)


def test_many_addresses_are_no_help_against_one_account(monkeypatch: pytest.MonkeyPatch) -> None:
    """And its owner's right passwords take none of the tries."""
    monkeypatch.setattr(throttle, "FREE_TRIES_OF_ACCOUNT", 5)
    victim, other = make_user(), make_user()
    for number in range(5):
        assert sign_in(Client(), victim.username, PASSWORD)
        assert not sign_in(Client(REMOTE_ADDR=f"192.0.2.{number}"), victim.username, "wrong")
    assert not sign_in(Client(REMOTE_ADDR="198.51.100.1"), victim.username, PASSWORD)
    assert sign_in(Client(REMOTE_ADDR="198.51.100.1"), other.username, PASSWORD)


def test_all_addresses_of_one_ipv6_network_are_one(monkeypatch: pytest.MonkeyPatch) -> None:
    user = make_user()
    for number in range(TRIES):
        assert not sign_in(Client(REMOTE_ADDR=f"2001:db8:1:2::{number}"), user.username, "wrong")
    assert not sign_in(Client(REMOTE_ADDR="2001:db8:1:2:ffff::1%eth0"), user.username, PASSWORD)
    assert sign_in(Client(REMOTE_ADDR="2001:db8:1:3::1"), user.username, PASSWORD)


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
