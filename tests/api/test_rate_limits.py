"""So many requests and no more; without Redis, as many as one likes."""

from __future__ import annotations

import time

import pytest
from django.core.cache import cache
from django.test import Client
from pytest_django.fixtures import Settings
from redis.exceptions import ConnectionError as RedisIsAway

from accounts import counting, rates
from accounts.models import User
from tests.api.conftest import client_of


@pytest.fixture(autouse=True)
def three_requests(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a window that does not end while the test runs."""
    settings.RCLUSTER_RATE_REQUESTS = settings.RCLUSTER_RATE_ANONYMOUS = 3 / rates.WINDOW
    monkeypatch.setattr(time, "time", lambda: 1_000_000_004.0)
    cache.clear()


def statuses(client: Client, count: int, address: str = "/api/v1/me") -> list[int]:
    return [client.get(address).status_code for _ in range(count)]


def test_the_fourth_waits_and_is_told_how_long(owner: User) -> None:
    client = client_of(owner)
    assert statuses(client, 3) == [200] * 3
    refused = client.get("/api/v1/me")
    assert (refused.status_code, refused["Content-Type"]) == (429, "application/problem+json")
    assert refused["Retry-After"] == "6"
    assert "6 seconds" in refused.json()["detail"]


def test_the_next_window_begins_anew(owner: User, monkeypatch: pytest.MonkeyPatch) -> None:
    client = client_of(owner)
    assert statuses(client, 4) == [200, 200, 200, 429]
    monkeypatch.setattr(time, "time", lambda: 1_000_000_010.0)
    assert statuses(client, 1) == [200]


def test_each_token_and_each_person_is_counted_alone(owner: User, stranger: User) -> None:
    for _ in range(2):
        assert statuses(client_of(owner), 4)[-1] == 429
    page = Client()
    page.force_login(owner)
    assert statuses(page, 4) == [200, 200, 200, 429]
    assert statuses(client_of(stranger), 1) == [200]


@pytest.mark.django_db
def test_guessing_tokens_is_counted_by_address() -> None:
    wrong = Client(headers={"Authorization": "Bearer rct_wrong"}, REMOTE_ADDR="192.0.2.1")
    assert statuses(wrong, 4) == [401, 401, 401, 429]
    assert statuses(Client(REMOTE_ADDR="192.0.2.1"), 1) == [429]
    assert statuses(Client(REMOTE_ADDR="192.0.2.2"), 1) == [401]


def test_refusals_count_too(owner: User) -> None:
    assert statuses(client_of(owner), 4, "/api/v1/runs/0") == [404, 404, 404, 429]


def test_without_redis_everybody_may_ask(owner: User, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object, **__: object) -> None:
        raise RedisIsAway("gone")

    monkeypatch.setattr(counting._redis().connection_pool, "get_connection", away)
    assert statuses(client_of(owner), 6) == [200] * 6


def test_a_flushed_redis_costs_nothing(owner: User) -> None:
    client = client_of(owner)
    assert statuses(client, 3) == [200] * 3
    cache.clear()
    assert statuses(client, 1) == [200]


def test_none_is_no_limit(owner: User, settings: Settings) -> None:
    settings.RCLUSTER_RATE_REQUESTS = 0
    assert statuses(client_of(owner), 6) == [200] * 6
