"""Task and Run pages: state as a sentence, cancel, run again, results, few queries."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts.models import User
from files import storage
from jobs.models import GIB, Role, Run, RunEvent, RunKind, Site, Task, TaskMember
from jobs.states import Reason, RunState
from jobs.views import present
from jobs.views.runs import use_of
from jobs.views.timeline import attempts_of
from tests.factories import make_machine, make_run, make_task, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def task(anna: User) -> Task:
    task = make_task(anna, name="Rivers of Ümläut")
    storage.create_task_folders(task.public_id)
    return task


def page(client: Client, run: Run, part: str = "") -> str:
    path = (
        reverse("run_live", args=[run.public_id]) + f"?part={part}"
        if part
        else run.get_absolute_url()
    )
    response = client.get(path)
    assert response.status_code == 200
    return response.content.decode()


@pytest.mark.parametrize(
    ("state", "fields", "key", "word", "sentence"),
    [
        (RunState.QUEUED, {"reason": Reason.SUBMITTED}, "waiting", "Waiting", "Just submitted."),
        (RunState.QUEUED, {"explanation": "Waiting: no answer."}, "waiting", "Waiting", "no answer."),
        (RunState.QUEUED, {"explanation": "No answer.", "reason": Reason.BACKEND_UNAVAILABLE, "ahead": 2},
         "waiting", "Waiting", "No answer. 2 Runs ahead."),
        (RunState.QUEUED, {"explanation": "Needs 2 GB; 2 Runs ahead.", "reason": Reason.NO_ROOM, "ahead": 2},
         "waiting", "Waiting", "Needs 2 GB; 2 Runs ahead."),
        (RunState.STARTING, {"explanation": "Pulling r-base"}, "starting", "Starting", "Pulling r-base"),
        (RunState.RUNNING, {}, "running", "Running", ""),
        (RunState.RUNNING, {"reason": Reason.UNREACHABLE}, "unreachable", "No word", ""),
        (RunState.SUCCEEDED, {}, "succeeded", "Succeeded", "in 19 s"),
        (RunState.FAILED, {}, "failed", "Failed", "The script ended with exit status 3."),
        (RunState.CANCELLED, {}, "cancelled", "Cancelled", "Cancelled before it ended."),
    ],
)  # fmt: skip
def test_every_state_has_a_shape_a_word_and_a_sentence(
    task: Task, state: RunState, fields: dict[str, str], key: str, word: str, sentence: str
) -> None:
    assert present.shown(make_run(task, state=state, **fields)) == present.Shown(
        key, word, sentence
    )


def test_a_run_that_is_asked_to_stop_says_so(task: Task) -> None:
    run = make_run(task, state=RunState.RUNNING, cancel_requested_at=timezone.now())
    assert present.shown(run).word == "Stopping…"


def test_a_run_page_shows_what_was_asked_and_used(anna_client: Client, task: Task) -> None:
    run = make_run(
        task, state=RunState.SUCCEEDED, arguments=["--year", "2026"], variables={"MODE": "quick"},
        script_text="x <- '<b>'\n", peak_memory=300 * 1024**2, cpu_seconds=12.3,
    )  # fmt: skip
    RunEvent.objects.create(run=run, attempt=1, state=RunState.QUEUED)
    shown = page(anna_client, run)
    for wanted in (
        "Succeeded",
        "in 19 s",
        "--year 2026",
        "MODE=quick",
        "300 MB",
        "12 s",
        "x &lt;- &#x27;&lt;b&gt;&#x27;",
    ):
        assert wanted in shown, wanted


def test_a_command_has_its_text_and_no_script(anna_client: Client, task: Task) -> None:
    shown = page(anna_client, make_run(task, kind=RunKind.COMMAND, command="ls -l /input | head"))
    assert "ls -l /input | head" in shown
    assert "Script, as it ran" not in shown


def test_results_are_the_files_that_this_run_wrote(anna_client: Client, task: Task) -> None:
    now = timezone.now()
    area = storage.area(task.public_id, "output")
    area.write("plot ü.png", [b"\x89PNG"], limit=100)
    area.write("tables/model.csv", [b"a,b\n"], limit=100)
    run = make_run(
        task,
        state=RunState.SUCCEEDED,
        started_at=now - timedelta(minutes=1),
        finished_at=now + timedelta(minutes=1),
    )
    earlier = make_run(
        task, state=RunState.SUCCEEDED, number=9, created_at=now - timedelta(days=2),
        started_at=now - timedelta(days=2), finished_at=now - timedelta(days=1),
    )  # fmt: skip
    shown = page(anna_client, run, "results")
    assert f"/api/v1/tasks/{task.public_id}/files/output/plot%20%C3%BC.png?inline=1" in shown
    assert "tables/model.csv" in shown
    assert "left no files" in page(anna_client, earlier, "results")


def test_cancel_of_a_waiting_run_is_at_once(anna_client: Client, task: Task) -> None:
    run = make_run(task)
    answer = anna_client.post(
        reverse("run_cancel", args=[run.public_id]), headers={"HX-Request": "true"}
    )
    assert "Cancelled by anna before it started." in answer.content.decode()
    run.refresh_from_db()
    assert run.state == RunState.CANCELLED


def test_cancel_of_a_running_run_is_a_request(anna_client: Client, task: Task) -> None:
    run = make_run(task, state=RunState.RUNNING)
    answer = anna_client.post(
        reverse("run_cancel", args=[run.public_id]), headers={"HX-Request": "true"}
    )
    assert "Stopping…" in answer.content.decode()
    run.refresh_from_db()
    assert run.state == RunState.RUNNING


def test_run_again_is_a_new_run_with_the_same_script(anna_client: Client, task: Task) -> None:
    run = make_run(task, state=RunState.FAILED, script_text="cat(1)\n")
    response = anna_client.post(reverse("run_again", args=[run.public_id]))
    again = Run.objects.get(repeats=run)
    assert response.headers["Location"] == again.get_absolute_url()
    assert again.script_text == "cat(1)\n"


def test_out_of_memory_offers_twice_as_much_with_one_click(anna_client: Client, task: Task) -> None:
    Site.objects.update_or_create(id=1, defaults={"backend": "local"})
    make_machine(memory=8 * GIB)
    run = make_run(task, state=RunState.FAILED, reason=Reason.OUT_OF_MEMORY, memory=3 * GIB)
    console = reverse("console_run", args=[task.public_id, run.public_id])
    for shown in (page(anna_client, run), page(anna_client, run, "head")):
        assert "Run again with 6 GB" in shown
        assert f'name="memory" value="{6 * GIB}"' in shown
        assert shown.count("button primary") == 1
    for path in (task.get_absolute_url(), console):
        shown = anna_client.get(path).content.decode()
        assert f'data-again="{run.public_id}" data-memory="{6 * GIB}"' in shown
    assert "Run again with" not in anna_client.get(f"{console}?part=results").content.decode()
    anna_client.post(reverse("run_again", args=[run.public_id]), {"memory": str(6 * GIB)})
    again = Run.objects.get(repeats=run)
    assert (again.memory, again.script_text) == (6 * GIB, run.script_text)
    anna_client.post(reverse("run_again", args=[run.public_id]))
    assert Run.objects.filter(repeats=run, memory=3 * GIB).count() == 1


def test_where_there_is_no_more_memory_a_sentence_says_so(anna_client: Client, task: Task) -> None:
    Site.objects.update_or_create(id=1, defaults={"backend": "local"})
    make_machine(memory=8 * GIB)
    run = make_run(task, state=RunState.FAILED, reason=Reason.OUT_OF_MEMORY, memory=8 * GIB)
    told = "There is no larger machine for it: the largest has 8 GB."
    for shown in (
        page(anna_client, run),
        anna_client.get(task.get_absolute_url()).content.decode(),
    ):
        assert told in shown
        assert 'name="memory" value=' not in shown
        assert "data-memory=" not in shown
    refused = anna_client.post(
        reverse("run_again", args=[run.public_id]), {"memory": str(16 * GIB)}, follow=True
    )
    assert "No machine has 1 CPU and 16 GB: ask for at most 4 CPUs and 8 GB." in (
        refused.content.decode()
    )


def test_the_console_starts_with_its_files_and_its_last_run(
    anna_client: Client, task: Task
) -> None:
    storage.area(task.public_id, "code").write("model.R", [b"1\n"], limit=10)
    run = make_run(task, state=RunState.SUCCEEDED)
    response = anna_client.get(task.get_absolute_url())
    console = response.context["console"]
    assert [entry["path"] for entry in console["areas"]["code"]] == ["model.R"]
    assert console["run"]["run"] == run.public_id
    assert console["run"]["final"] is True
    assert response.context["shown_run"] == run


def test_the_console_shows_the_run_of_the_address(anna_client: Client, task: Task) -> None:
    first = make_run(task, state=RunState.SUCCEEDED)
    make_run(task, state=RunState.FAILED)
    response = anna_client.get(f"{task.get_absolute_url()}?run={first.public_id}")
    assert response.context["console"]["run"]["run"] == first.public_id


def test_a_task_with_odd_resources_keeps_them_among_the_presets(
    anna_client: Client, task: Task
) -> None:
    Task.objects.filter(pk=task.pk).update(cpus="1.50", memory=3 * 1024**3, time_limit=5400)
    shown = anna_client.get(task.get_absolute_url()).content.decode()
    for option in (
        'value="1.5" selected>1.5 CPUs',
        'value="3221225472" selected>3 GB',
        'value="5400" selected>1 h 30 min',
    ):
        assert option in shown, option


def test_a_missing_storage_still_gives_a_page(anna_client: Client, anna: User) -> None:
    bare = make_task(anna)
    assert anna_client.get(bare.get_absolute_url()).status_code == 200


def test_a_long_list_of_runs_costs_the_page_no_more_queries(
    anna_client: Client, task: Task, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(1, 50):
        make_run(task, state=RunState.SUCCEEDED, number=number)
    with django_assert_max_num_queries(11):
        page(anna_client, Run.objects.latest("id"))


def test_the_cluster_page_names_others_but_not_what_they_run(
    anna_client: Client, task: Task, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    other = make_task(make_user("bert"), name="Secret rivers")
    for number in range(1, 20):
        make_run(other, number=number)
    make_run(task, reason=Reason.NO_ROOM, explanation="Needs 99 CPUs.")
    with django_assert_max_num_queries(9):
        shown = anna_client.get("/cluster/").content.decode()
    assert "A Run of bert" in shown
    assert "Secret rivers" not in shown
    assert "Needs 99 CPUs." in shown


def events(run: Run, *given: tuple[float, int, RunState, Reason]) -> None:
    """A timeline: (seconds after the submission, attempt, state, reason)."""
    for seconds, attempt, state, reason in given:
        at = run.created_at + timedelta(seconds=seconds)
        RunEvent.objects.create(run=run, at=at, attempt=attempt, state=state, reason=reason)


def test_the_timeline_says_how_long_each_step_took(task: Task) -> None:
    now = timezone.now()
    run = make_run(
        task, state=RunState.SUCCEEDED, created_at=now - timedelta(seconds=100), finished_at=now,
        started_at=now - timedelta(seconds=60), machine="vm-1",
    )  # fmt: skip
    events(
        run,
        (0, 0, RunState.QUEUED, Reason.SUBMITTED),
        (5, 1, RunState.STARTING, Reason.LAUNCHING),
        (6, 1, RunState.STARTING, Reason.PULLING),
        (36, 1, RunState.STARTING, Reason.LAUNCHING),
        (41, 1, RunState.RUNNING, Reason.NONE),
        (101, 1, RunState.SUCCEEDED, Reason.NONE),
    )
    (attempt,) = attempts_of(run, run.timeline.all())
    told = [(step.word, step.where, step.lasted) for step in attempt.steps]
    # The machine's own times of start and end count, not when the portal heard of them.
    assert told == [
        ("Queued", "", 5.0),
        ("Placed", "vm-1", 1.0),
        ("Pulling the image", "", 30.0),
        ("Pulled", "vm-1", 4.0),
        ("Started", "", 60.0),
        ("Succeeded", "", None),
    ]
    assert not any(step.goes_on for step in attempt.steps)


def test_each_attempt_has_a_timeline_of_its_own(anna_client: Client, task: Task) -> None:
    run = make_run(task, state=RunState.RUNNING, attempt=2)
    RunEvent.objects.create(run=run, attempt=0, state=RunState.QUEUED, reason=Reason.SUBMITTED)
    RunEvent.objects.create(run=run, attempt=1, state=RunState.STARTING, reason=Reason.LAUNCHING)
    RunEvent.objects.create(
        run=run, attempt=1, state=RunState.QUEUED, explanation="The machine <went>."
    )
    RunEvent.objects.create(run=run, attempt=2, state=RunState.STARTING)
    RunEvent.objects.create(run=run, attempt=2, state=RunState.RUNNING)
    first, second = attempts_of(run, run.timeline.all())
    assert [step.word for step in first.steps] == ["Queued", "Placed"]
    assert [step.word for step in second.steps] == ["Back in the queue", "Placed", "Started"]
    assert second.steps[-1].goes_on
    shown = page(anna_client, run, "head")
    assert "Attempt 2" in shown
    assert "The machine &lt;went&gt;." in shown


def test_what_was_used_is_measured_against_what_was_asked(task: Task) -> None:
    now = timezone.now()
    run = make_run(
        task, state=RunState.SUCCEEDED, cpus=2, memory=GIB, time_limit=100, cpu_seconds=60.0,
        peak_memory=GIB // 4, started_at=now - timedelta(seconds=40), finished_at=now,
    )  # fmt: skip
    use = use_of(run)
    assert (use.cpus, use.cpus_percent, use.memory_percent, use.wall_percent) == (1.5, 75, 25, 40)
    waits = use_of(make_run(task))
    assert (waits.wall, waits.cpus, waits.cpus_percent) == (None, None, 0)


def test_a_viewer_sees_all_of_it_and_has_no_buttons(
    task: Task, signed_in: Callable[[User], Client]
) -> None:
    viewer = make_user("vera")
    TaskMember.objects.create(task=task, user=viewer, role=Role.VIEWER, added_by=task.owner)
    run = make_run(task, state=RunState.RUNNING)
    client = signed_in(viewer)
    shown = page(client, run)
    assert run.script_text.splitlines()[0][:3] in shown
    for button in ("Run again", "Cancel"):
        assert button not in shown
    for name in ("run_cancel", "run_again", "run_change"):
        assert client.post(reverse(name, args=[run.public_id])).status_code == 403, name
    assert client.get(reverse("run_change", args=[run.public_id])).status_code == 403
    run.refresh_from_db()
    assert Run.objects.count() == 1
    assert run.cancel_requested_at is None


def ran(task: Task, **fields: Any) -> Run:
    now = timezone.now()
    return make_run(
        task, state=RunState.SUCCEEDED, started_at=now - timedelta(minutes=1),
        finished_at=now + timedelta(minutes=1), **fields,
    )  # fmt: skip


def test_files_of_all_folders_with_their_beginnings(anna_client: Client, task: Task) -> None:
    output = storage.area(task.public_id, "output")
    output.write("a/b/c/d/deep.csv", [b'x,y\n1,"<b>"\n'], limit=1000)
    output.write("notes.txt", [b"caf\xc3\xa9 \0 \xff\n" * 3000], limit=10**6)
    storage.area(task.public_id, "code").write("made.R", [b"1\n"], limit=10)
    run = ran(task)
    shown = page(anna_client, run, "results")
    assert "a/b/c/d/deep.csv" in shown
    assert "1 file in <code>/code</code>" in shown
    assert "code/made.R" in shown
    address = reverse("run_preview", args=[run.public_id])
    table = anna_client.get(f"{address}?path=output/a/b/c/d/deep.csv").content.decode()
    assert '<th scope="col">x</th>' in table
    assert "<td>&lt;b&gt;</td>" in table
    text = anna_client.get(f"{address}?path=output/notes.txt").content.decode()
    assert "café" in text
    assert "The file goes on." in text
    assert len(text) < 9000
    for wrong in (
        "output/none.txt",
        "runs/x",
        "output/../code/made.R",
        "output/",
        "",
        "etc/passwd",
    ):
        assert anna_client.get(address, {"path": wrong}).status_code == 404, wrong


def test_a_run_beside_it_is_named_where_files_could_be_either_ones(
    anna_client: Client, task: Task
) -> None:
    storage.area(task.public_id, "output").write("x.txt", [b"1\n"], limit=10)
    run, beside = ran(task), ran(task)
    earlier = timezone.now() - timedelta(days=1)
    before = make_run(
        task, state=RunState.SUCCEEDED, created_at=earlier, started_at=earlier, finished_at=earlier
    )
    shown = page(anna_client, run, "results")
    assert beside.get_absolute_url() in shown
    assert before.get_absolute_url() not in shown
