"""A portal with a week of a team's life in it, and the address of each of its pages.

For the walks over every page (test_axe.py) and for the pictures in the documentation
(screenshots.py). `furnish()` makes it through the HTTP API, as people's scripts would; only the
people themselves are made by command.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver

from tests.client import Client
from tests.portal import Portal

ROOMS = ("accounts.urls", "jobs.views.urls")
"""The URL configurations whose addresses are pages and parts of pages."""
PEOPLE = ("anna", "ben", "chiara")

_MAKE = """
import json
from datetime import timedelta
from django.utils import timezone
from accounts.models import User
from jobs import examples
from jobs.models import Announcement, Machine, Site, UserLimits
owner = User.objects.get(username={owner!r})
people = [User.objects.get_or_create(username=name, defaults=dict(email=name + "@example.org"))[0]
          for name in {people!r}]
run = examples.start(user=owner, slug="bike-hire")
announcement = Announcement.objects.create(
    text="Friday, 18:00 to 19:00: the storage gets new disks. Runs go on; uploads wait.",
    created_by=owner, shown_until=timezone.now() + timedelta(days=2))
UserLimits.objects.update_or_create(user=people[0], defaults=dict(max_running=4, max_cpus=8, max_storage=20 * 2**30))
machine = Machine.objects.filter(present=True).first()
print("made " + json.dumps(dict(run=run.public_id, task=run.task.public_id, person=people[0].pk,
      announcement=announcement.pk, machine=machine.pk if machine else 0)))
"""


@dataclass(frozen=True)
class Furnished:
    paths: dict[str, str]
    """name of the URL -> its path, for every page"""


NOT_PAGES = frozenset(
    {
        # Parts of pages, which refresh themselves.
        *(
            "notices",
            "home_now",
            "home_tasks",
            "task_history",
            "task_free",
            "console_run",
            "task_copying",
        ),
        *("run_live", "run_preview", "dataset_now", "cluster_now", "manage_now"),
        *("manage_environments_now", "manage_environment_now", "people"),
        # What buttons do.
        *("logout", "change_password", "create_token", "revoke_token", "theme", "example"),
        *("task_publish", "task_choose_datasets", "task_share", "task_unshare", "task_leave"),
        *(
            "task_transfer",
            "task_archive",
            "task_duplicate",
            "task_delete",
            "task_restore",
        ),
        *("task_copy_act", "run_cancel", "run_again", "run_priority", "machine_drain"),
        *("dataset_change", "dataset_share", "dataset_delete", "dataset_restore"),
        *("manage_environment_check", "manage_environment_default"),
        *(
            "manage_cancel",
            "manage_link",
            "manage_mail",
            "manage_switch",
            "manage_staff",
            "manage_person_limits",
        ),
        *("manage_hand_over", "manage_delete", "manage_announcement_end"),
        # Files.
        *("published_file", "manage_audit_csv"),
        # Only with a link that was sent, and only where Mesos removed the portal.
        *("choose_password", "register_anew"),
    }
)


def furnish(portal: Portal) -> Furnished:
    """Takes some seconds: a real Run is waited for."""
    made = _made(portal)
    client = Client(portal.url, portal.token("furnish"))
    try:
        return _furnish(client, made)
    finally:
        client.close()


def _furnish(client: Client, made: dict[str, Any]) -> Furnished:
    http, task = client.http, made["task"]
    dataset = http.post(
        "/datasets",
        json={"name": "rivers", "description": "Gauges of the Elbe, hourly since 1996."},
    )
    dataset_id = dataset.raise_for_status().json()["id"]
    rows = "".join(f"2026-11-{day:02},{1094 + day},{day / 7:.2f}\n" for day in range(1, 29))
    http.put(f"/datasets/{dataset_id}/files/2026/gauges.csv", content=f"day,km,level\n{rows}")
    http.put(f"/datasets/{dataset_id}/members/anna", json={"role": "reader"}).raise_for_status()
    changed = {
        "description": "Hourly hire of city bikes: what the weather does to it.",
        "datasets": ["rivers"],
        "published": True,
    }
    published = http.patch(f"/tasks/{task}", json=changed).raise_for_status().json()
    for name, role in (("anna", "editor"), ("ben", "viewer")):
        http.put(f"/tasks/{task}/members/{name}", json={"role": role}).raise_for_status()
    for name, archived in (("River levels, daily report", False), ("Pollen 2024", True)):
        other = client.create_task(name)
        client.put_file(other, "code/report.R", b'cat("report\\n")\n')
        client.wait_for_end(client.submit(other, kind="script", script_path="report.R"))
        http.patch(f"/tasks/{other}", json={"archived": archived}).raise_for_status()
    gone = client.create_task("Pollen 2019")
    http.delete(f"/tasks/{gone}").raise_for_status()
    old = http.post("/datasets", json={"name": "gauges-2019"}).raise_for_status().json()["id"]
    http.delete(f"/datasets/{old}").raise_for_status()
    failed = client.command(task, "Rscript -e 'read.csv(\"/input/nothing.csv\")'")
    client.wait_for_end(failed)
    client.wait_for_end(made["run"], seconds=120)
    environment = http.get("/environments").raise_for_status().json()
    slug = (environment.get("results") or environment)[0]["id"]
    run, person = made["run"], made["person"]
    return Furnished(
        {
            "login": "/login/",
            "home": "/",
            "task_new": "/tasks/new/",
            "task": f"/tasks/{task}/?run={run}",
            "task_settings": f"/tasks/{task}/settings/",
            "task_purge": f"/tasks/{gone}/purge/",
            "run": f"/runs/{run}/",
            "run_change": f"/runs/{run}/change/",
            "datasets": "/datasets/",
            "dataset": f"/datasets/{dataset_id}/",
            "dataset_purge": f"/datasets/{old}/purge/",
            "published": _path_of(published["published_url"]),
            "cluster": "/cluster/",
            "machine_lost": f"/cluster/machines/{made['machine']}/lost/",
            "account": "/account/",
            "manage": "/manage/",
            "manage_people": "/manage/people/",
            "manage_person_add": "/manage/people/add/",
            "manage_person": f"/manage/people/{person}/",
            "manage_limits": "/manage/people/limits/",
            "manage_site": "/manage/site/",
            "manage_environments": "/manage/environments/",
            "manage_environment_new": "/manage/environments/new/",
            "manage_environment": f"/manage/environments/{slug}/",
            "manage_environment_edit": f"/manage/environments/{slug}/edit/",
            "manage_environment_retire": f"/manage/environments/{slug}/retire/",
            "manage_announcements": "/manage/announcements/",
            "manage_announcement": f"/manage/announcements/{made['announcement']}/",
            "manage_audit": "/manage/audit/",
        }
    )


def page_names() -> set[str]:
    """The names of all addresses of the pages' URL configurations that are not in NOT_PAGES."""
    # The addresses of a room use converters that others register.
    assert get_resolver().url_patterns
    found = {name for room in ROOMS for name in _names(get_resolver(room).url_patterns)}
    assert not NOT_PAGES - found, f"no such address: {sorted(NOT_PAGES - found)}"
    return found - NOT_PAGES


def _names(patterns: Iterable[URLPattern | URLResolver]) -> Iterable[str]:
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            yield from _names(pattern.url_patterns)
        elif pattern.name:
            yield pattern.name


def _made(portal: Portal) -> dict[str, Any]:
    said = portal.manage("shell", "-c", _MAKE.format(owner=portal.username, people=PEOPLE))
    line = next(line for line in said.splitlines() if line.startswith("made "))
    made: dict[str, Any] = json.loads(line.removeprefix("made "))
    return made


def _path_of(url: str) -> str:
    return "/" + url.split("://", 1)[-1].split("/", 1)[1]
