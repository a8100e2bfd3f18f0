"""Names as pages show them: what would not be seen is seen, and right-to-left ones are cut at their end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import User
from files import storage
from jobs.models import Run, RunKind
from jobs.states import RunState
from jobs.templatetags.rcluster import visibly
from tests.factories import make_run, make_task

CASES = json.loads((Path(__file__).parents[1] / "fixtures" / "names.json").read_text())
"""As the browser shows them: both sides read this file."""
TURNED = "may\u202egpj.exe"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["shown"])
def test_what_would_not_be_seen_is_seen(case: dict[str, str]) -> None:
    assert visibly(case["name"]) == case["shown"]


@pytest.mark.django_db
def test_every_list_of_files_shows_a_name_that_turns_its_letters(
    anna_client: Client, anna: User
) -> None:
    task = make_task(anna)
    task.published_id = "q" * 16
    task.save()
    storage.create_task_folders(task.public_id)
    run = make_run(task, state=RunState.RUNNING)
    storage.area(task.public_id, "output").write(TURNED, [b"x"], limit=1)
    for path in (
        reverse("console_run", args=[task.public_id, run.public_id]) + "?part=results",
        reverse("run_live", args=[run.public_id]) + "?part=results",
        reverse("published", args=[task.published_id]),
    ):
        shown = anna_client.get(path).content.decode()
        assert "may\\u202egpj.exe" in shown, path
        assert f">{TURNED}" not in shown, path


@pytest.mark.django_db
def test_names_of_tasks_have_their_own_direction(anna_client: Client, anna: User) -> None:
    task = make_task(anna, name="تحليل الأنهار")
    assert (
        f'href="{task.get_absolute_url()}" dir="auto">{task.name}<'
        in anna_client.get("/").content.decode()
    )


@pytest.mark.parametrize(
    ("command", "title"),
    [("ls\nrm x", "ls …"), (" ls \n", "ls"), (" ", " ")],
)
def test_a_command_of_several_lines_says_that_there_are_more(command: str, title: str) -> None:
    assert Run(kind=RunKind.COMMAND, command=command).title == title
