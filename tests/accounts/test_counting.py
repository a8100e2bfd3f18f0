"""Counting in a real Redis, and without one."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.cache import cache
from django.test import override_settings
from redis.exceptions import TimeoutError as RedisIsSlow

from accounts import counting


@pytest.fixture(autouse=True)
def nothing_counted() -> None:
    cache.clear()


def test_one_more_each_time_and_apart_by_key() -> None:
    assert [counting.count("a", seconds=60) for _ in range(3)] == [1, 2, 3]
    assert counting.count("b", seconds=60) == 1


def test_a_count_ends_after_its_first_however_many_follow() -> None:
    for _ in range(3):
        counting.count("a", seconds=60)
    assert 0 < counting._redis().ttl(counting._name("a")) <= 60


def test_forgiving_takes_one_back_and_forgetting_all() -> None:
    for _ in range(3):
        counting.count("a", seconds=60)
    counting.forgive("a")
    assert counting.count("a", seconds=60) == 3
    counting.forget("a")
    assert counting.count("a", seconds=60) == 1


def test_what_is_not_counted_any_more_is_not_forgiven_below_zero() -> None:
    counting.forgive("a")
    assert counting.count("a", seconds=60) == 1


def test_without_redis_nothing_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise RedisIsSlow("gone")

    monkeypatch.setattr(counting._redis().connection_pool, "get_connection", away)
    assert counting.count("a", seconds=60) == 0
    counting.forgive("a")
    counting.forget("a")


def test_a_redis_that_is_silent_is_waited_for_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As one that is stopped: it takes connections and answers nothing."""
    monkeypatch.setattr(counting, "PATIENCE", 0.2)
    where = {"default": {"LOCATION": f"unix://{tmp_path}/silent.sock"}}
    counting._redis.cache_clear()
    with socket.socket(socket.AF_UNIX) as silent, override_settings(CACHES=where):
        silent.bind(f"{tmp_path}/silent.sock")
        silent.listen(20)
        begun = time.monotonic()
        assert counting.count("a", seconds=60) == 0
        assert time.monotonic() - begun < 0.5
    counting._redis.cache_clear()


def test_the_cache_waits_no_longer(tmp_path: Path) -> None:
    options = settings.CACHES["default"]["OPTIONS"]
    where = {
        "default": {
            **settings.CACHES["default"],
            "LOCATION": f"unix://{tmp_path}/silent.sock",
            "OPTIONS": {**options, "socket_timeout": 0.2},
        }
    }
    with socket.socket(socket.AF_UNIX) as silent, override_settings(CACHES=where):
        silent.bind(f"{tmp_path}/silent.sock")
        silent.listen(20)
        begun = time.monotonic()
        with pytest.raises(RedisIsSlow):
            cache.get("a")
        assert time.monotonic() - begun < 0.5
    assert options["socket_timeout"] <= 1
