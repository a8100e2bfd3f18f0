"""The HTTP API, and pages that refresh themselves, with 100,000 Runs in PostgreSQL: one client at 20
requests a second, p95 in ms.

`api list`, `api detail`, `api submit`: of somebody who is no administrator, owns 5 Tasks and is a
member of 10, against a real portal. `page now`, `page manage now`: what every open home page, and every
open page of administration, asks for again and again, of an administrator with 5 Tasks. A request that
had to wait for the one before counts from when it was due. How many statements a request makes is
counted before and after the Runs are there.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import logging
import os
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx

import tests.home  # noqa: F401 - settings before Django
from tests.bench._figures import Figure

RUNS, A_SECOND = 100_000, 20
PERSON = "former-0"
"""One of those whom tests/bench/_finished.py makes."""
GOALS = {
    "api list": 60,
    "api detail": 40,
    "api submit": 100,
    "page now": 60,
    "page manage now": 60,
}
PAGES = {"page now": "/now/", "page manage now": "/manage/now/"}
MEMBER_OF = 10


def main(argv: list[str]) -> list[dict[str, Any]]:
    """The figures that the head of this file names."""
    parser = argparse.ArgumentParser(prog="api", description=__doc__)
    parser.add_argument("--seconds", type=int, default=30, help="of each figure")
    parser.add_argument("--runs", type=int, default=RUNS)
    given = parser.parse_args(argv)
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "rcluster_site.settings")
    django.setup()
    for chatty in ("httpx", "accounts.rates", "accounts.audit"):
        logging.getLogger(chatty).setLevel(logging.ERROR)
    with _filled(given.runs) as scene:
        return [
            _figure(name, _paced(client, asks, given.seconds)).as_json()
            for client, every in ((scene.browser, _pages()), (scene.http, scene.asks()))
            for name, asks in every.items()
        ]


@dataclass
class _Scene:
    """The portal with its past, and what the person may see of it."""

    http: httpx.Client
    browser: httpx.Client
    """of the administrator"""
    tasks: list[str]
    runs: list[str]
    cursor: str

    def asks(self) -> dict[str, list[tuple[str, str, Any]]]:
        """Method, address and body, in turn."""
        body = {"command": "true", "cpus": 0.5, "memory": 128 * 1024**2}
        task = self.tasks[0]
        return {
            "api list": [("GET", address, None) for address in lists(task, self.cursor)],
            "api detail": [("GET", f"runs/{run}", None) for run in self.runs],
            "api submit": [("POST", f"tasks/{task}/runs", body) for task in self.tasks],
        }


def _pages() -> dict[str, list[tuple[str, str, Any]]]:
    return {name: [("GET", address, None)] for name, address in PAGES.items()}


def lists(task: str, cursor: str) -> list[str]:
    """Every kind of list, with what makes one slow: states that are rare or not there, old pages."""
    return [
        "runs",
        "runs?state=failed",
        "runs?state=queued,running",
        "runs?state=cancelled",
        cursor,
        f"runs?task={task}",
        f"tasks/{task}/runs?state=cancelled",
        "tasks",
    ]


@contextlib.contextmanager
def _filled(runs: int) -> Iterator[_Scene]:
    from deploy.portal.database import temporary_postgresql
    from tests.bench._finished import fill
    from tests.client import Client
    from tests.portal import start_portal

    with contextlib.ExitStack() as stack:
        database = stack.enter_context(temporary_postgresql())
        portal = start_portal(backend="local", database_url=database, RCLUSTER_CPUS="0.5")
        stack.callback(portal.stop)
        first = Client(portal.url, portal.token("bench"))
        stack.callback(first.close)
        first.create_task("Bench")
        fill(database, portal.home / "storage", 100)
        few = _statements(database)
        fill(database, portal.home / "storage", runs)
        many = _statements(database)
        assert many == few, f"statements grow with the Runs: {few} became {many}"
        token = portal.manage("issue_token", "--user", PERSON, "--name", "bench").strip()
        http = stack.enter_context(
            httpx.Client(
                base_url=f"{portal.url}/api/v1/",
                headers={"Authorization": f"Bearer {token}"},
                timeout=60,
            )
        )
        browser = stack.enter_context(httpx.Client(base_url=portal.url, timeout=60))
        _sign_in(browser, portal.username, portal.password)
        yield _scene(http, browser)


def _sign_in(browser: httpx.Client, username: str, password: str) -> None:
    browser.get("/login/").raise_for_status()
    form = {"username": username, "password": password}
    token = next(value for name, value in browser.cookies.items() if "csrf" in name)
    answer = browser.post("/login/", data={**form, "csrfmiddlewaretoken": token})
    assert answer.status_code == 302, answer.text


def _scene(http: httpx.Client, browser: httpx.Client) -> _Scene:
    page = _json(http, "runs?limit=200")
    runs = [run["id"] for run in page["results"]]
    for _ in range(20):
        if not page["next"]:
            break
        cursor = page["next"].partition("/api/v1/")[2]
        page = _json(http, cursor)
    cursor = cursor.replace("limit=200", "limit=50")
    tasks = [task["id"] for task in _json(http, "tasks")["results"] if task["owner"] == PERSON]
    return _Scene(http, browser, tasks, runs, cursor)


def _json(http: httpx.Client, address: str) -> Any:
    return http.get(address).raise_for_status().json()


def _paced(http: httpx.Client, asks: list[tuple[str, str, Any]], seconds: int) -> list[float]:
    """Milliseconds from when each request was due to the end of its answer."""
    for method, address, body in asks[:8]:
        http.request(method, address, json=body).raise_for_status()
    took = []
    began = time.perf_counter()
    for number, (method, address, body) in zip(
        range(seconds * A_SECOND), itertools.cycle(asks), strict=False
    ):
        due = began + number / A_SECOND
        if (left := due - time.perf_counter()) > 0:
            time.sleep(left)
        http.request(method, address, json=body).raise_for_status()
        took.append(1000 * (time.perf_counter() - due))
    return took


def _figure(name: str, took: list[float]) -> Figure:
    value = statistics.quantiles(took, n=20, method="inclusive")[-1]
    goal = GOALS[name]
    return Figure(name, round(value, 1), "ms", None, None, f"at most {goal} ms", value <= goal)


def _statements(database: str) -> dict[str, int]:
    """How many statements each kind of request makes, in this process with the portal's database."""
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    from accounts.models import ApiToken, User
    from jobs.models import Run, Task

    with _as_default(database):
        person = User.objects.get(username=PERSON)
        _share(person)
        token, text = ApiToken.issue(user=person, name="counting")
        client = Client(headers={"Authorization": f"Bearer {text}", "Host": "localhost"})
        task = Task.objects.filter(owner=person).latest("id")
        run = Run.objects.filter(task=task).latest("id")
        page = client.get("/api/v1/runs?limit=2").json()["next"].partition("/api/v1/")[2]
        addresses = {
            **{f"list {at}": each for at, each in enumerate(lists(task.public_id, page))},
            "detail": f"runs/{run.public_id}",
        }
        counts = {}
        for name, address in addresses.items():
            with CaptureQueriesContext(connection) as captured:
                assert client.get(f"/api/v1/{address}").status_code == 200, address
            counts[name] = len(captured)
        token.delete()
        # By now somebody's who has Runs, too: the portal's first person.
        browser = Client(headers={"Host": "localhost"})
        browser.force_login(User.objects.filter(is_staff=True).earliest("id"))
        for name, address in PAGES.items():
            with CaptureQueriesContext(connection) as captured:
                assert browser.get(address).status_code == 200, address
            counts[name] = len(captured)
        return counts


def _share(person: Any) -> None:
    """Others have made the person a member of some of their Tasks."""
    from jobs.models import Role, Task, TaskMember

    others = Task.objects.exclude(owner=person).order_by("id")[:MEMBER_OF]
    for task in others:
        TaskMember.objects.get_or_create(
            task=task, user=person, defaults={"role": Role.VIEWER, "added_by": task.owner}
        )


@contextlib.contextmanager
def _as_default(database: str) -> Iterator[None]:
    """For as long as the block lasts, this process works on another portal's database."""
    import dj_database_url
    from django.db import connections

    usual = connections.databases["default"]
    connections["default"].close()
    del connections["default"]
    connections.databases["default"] = {**usual, "OPTIONS": {}, **dj_database_url.parse(database)}
    try:
        yield
    finally:
        connections["default"].close()
        del connections["default"]
        connections.databases["default"] = usual


if __name__ == "__main__":
    print(json.dumps(main([]), indent=2))  # noqa: T201
