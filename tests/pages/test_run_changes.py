"""A Run once more with changes: the form starts with what was asked, and says what can't run."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import User
from files import storage
from jobs.models import GIB, Run, Task
from jobs.states import RunState
from tests.factories import make_run, make_task

pytestmark = pytest.mark.django_db


@pytest.fixture
def task(anna: User) -> Task:
    task = make_task(anna)
    storage.create_task_folders(task.public_id)
    return task


def page(client: Client, run: Run) -> str:
    return client.get(run.get_absolute_url()).content.decode()


def change(client: Client, run: Run, **fields: str) -> Any:
    """The form as it was filled in, but for these fields."""
    path = reverse("run_change", args=[run.public_id])
    typed = client.get(path).context["typed"]
    form = {name: value for name, value in vars(typed).items() if isinstance(value, str)}
    form |= {name: "1" for name in ("has_stdin", "retry_if_lost") if getattr(typed, name)}
    return client.post(path, {**form, **fields})


def test_running_again_with_changes_starts_from_what_was_asked(
    anna_client: Client, task: Task
) -> None:
    odd = {"PLAIN": "x", "TWO": "a\nb", "QUOTED": '"q"', "BLANK": " x ", "EMPTY": ""}
    run = make_run(
        task, state=RunState.FAILED, script_text="cat(1)\n", arguments=["--a", "two words", "it's\n"],
        variables=odd, stdin="\none\n", retry_if_lost=True,
    )  # fmt: skip
    response = change(anna_client, run)
    again = Run.objects.get(repeats=run)
    assert response.headers["Location"] == again.get_absolute_url()
    for name in ("script_text", "arguments", "variables", "stdin", "cpus", "memory", "time_limit",
                 "environment", "retry_if_lost"):  # fmt: skip
        assert getattr(again, name) == getattr(run, name), name
    change(anna_client, run, arguments="--b", memory=str(2 * GIB), variables="A=1\r\nB=2")
    changed = Run.objects.latest("id")
    assert (changed.arguments, changed.memory) == (["--b"], 2 * GIB)
    assert changed.variables == {"A": "1", "B": "2"}
    shown = page(anna_client, run)
    assert again.get_absolute_url() in shown
    assert run.get_absolute_url() in page(anna_client, again)


def test_the_files_present_text_is_offered_where_it_differs(
    anna_client: Client, task: Task
) -> None:
    code = storage.area(task.public_id, "code")
    run = make_run(task, state=RunState.FAILED, script_text="cat(1)\n")
    path = reverse("run_change", args=[run.public_id])
    assert "not there any more" in anna_client.get(path).content.decode()
    code.write("main.R", [b"cat(1)\n"], limit=100)
    assert "still the same" in anna_client.get(path).content.decode()
    code.write("main.R", [b"cat(2)\n"], limit=100)
    assert "As the file is now" in anna_client.get(path).content.decode()
    change(anna_client, run)
    assert Run.objects.latest("id").script_text == "cat(1)\n"
    change(anna_client, run, script="now")
    assert Run.objects.latest("id").script_text == "cat(2)\n"


@pytest.mark.parametrize(
    ("field", "typed", "told"),
    [
        ("arguments", "--a 'open", "missing quote"),
        ("variables", "NONSENSE", "NAME=value"),
        ("variables", "1A=x", "no variable name"),
        ("environment", "gone", "Choose an Environment"),
        ("cpus", "many", "Choose one of these"),
        ("memory", "1", "at least"),
        ("constraints", "disk", ":"),
    ],
)
def test_what_cant_run_is_told_at_its_field_and_keeps_what_was_typed(
    anna_client: Client, task: Task, field: str, typed: str, told: str
) -> None:
    run = make_run(task, state=RunState.FAILED)
    response = change(anna_client, run, **{field: typed})
    assert response.status_code == 422
    assert told in response.context["errors"][field]
    assert getattr(response.context["typed"], field) == typed
    assert Run.objects.count() == 1
