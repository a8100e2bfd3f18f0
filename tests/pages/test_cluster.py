"""The cluster page: every machine in its state, who uses what, and what administrators can do."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from jobs.models import GIB, Machine, Site, Task
from jobs.states import Reason, RunState
from tests.factories import make_machine, make_run, make_task, make_user

HTMX = {"HX-Request": "true"}


@pytest.fixture(autouse=True)
def site(db: None) -> None:
    Site.objects.update_or_create(id=1, defaults={"backend": "local"})


@pytest.fixture
def task(anna: User) -> Task:
    return make_task(anna, name="Rivers")


@pytest.fixture
def staff_client(anna: User) -> Client:
    client = Client()
    client.force_login(make_user("root", staff=True))
    return client


def text(client: Client, path: str = "/cluster/") -> str:
    """What is to be read, without tags."""
    answer = client.get(path)
    assert answer.status_code == 200
    main = re.search(r"<main.*</main>", answer.content.decode(), re.DOTALL)
    assert main
    return read(main[0])


def read(page: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", page).split())


def act(client: Client, name: str, machine: Machine, **data: Any) -> Any:
    return client.post(reverse(name, args=[machine.pk]), data)


def test_before_there_is_a_machine_the_page_says_so(anna_client: Client) -> None:
    shown = text(anna_client)
    assert "No machine has offered room yet." in shown
    assert "Nobody waits." in shown


def test_one_machine_needs_no_total(anna_client: Client, task: Task) -> None:
    make_machine("vm", attributes={"disk": "ssd", "zone": "a"})
    make_run(task, state=RunState.RUNNING, machine="vm", cpus=1, memory=GIB)
    shown = text(anna_client)
    for wanted in ("disk:ssd zone:a", "1 Run · heard just now", "3 of 4 free", "7 GB of 8 GB free"):
        assert wanted in shown, wanted
    assert shown.count("CPUs 3 of 4 free") == 1


def test_what_others_use_is_not_free(anna_client: Client, task: Task) -> None:
    make_machine("vm", free_cpus=1, free_memory=2 * GIB)
    make_run(task, state=RunState.RUNNING, machine="vm", cpus=1, memory=GIB)
    answer = anna_client.get("/cluster/").content.decode()
    assert "1 of 4 free" in answer
    assert "50 % is used by others than our Runs" in answer


def test_every_state_of_a_machine_is_told(anna_client: Client, task: Task) -> None:
    administrator = make_user("ada", staff=True)
    now = timezone.now()
    earlier = now - timedelta(minutes=10)
    make_machine("a-fine")
    make_machine("b-drained", drained_at=earlier, drained_by=administrator)
    make_machine("c-silent", heard_at=earlier)
    make_machine("d-lost", present=False, heard_at=earlier, lost_at=now, lost_by=administrator)
    make_machine("e-back", lost_at=earlier, lost_by=administrator)
    make_machine("f-aside", note="Three launches in a row failed on it.")
    make_machine(
        "g-both", present=False, heard_at=earlier, drained_at=earlier, drained_by=administrator
    )
    for machine in ("b-drained", "c-silent"):
        make_run(task, state=RunState.RUNNING, machine=machine)
    page = anna_client.get("/cluster/").content.decode()
    parts = [read(part) for part in page.split('id="machine-')]
    above, fine, drained, silent, lost, back, aside, both = parts
    assert "7 machines: 2 take Runs, 1 drained, 1 set aside, 2 without word, 1 lost." in above
    assert "Idle · heard just now" in fine
    assert "Drained 10 min ago by ada" in drained
    assert "It gets no new Runs; those on it go on." in drained
    assert "No word , last heard 10 min ago" in silent
    assert "Its Runs go on as far as we know." in silent
    assert "4 CPUs and 8 GB when it was last heard." in silent
    assert "Declared lost just now by ada" in lost
    assert "Idle · heard just now" in back
    assert "Three launches in a row failed on it." in aside
    assert "No word" in both
    assert "Drained 10 min ago by ada" in both
    assert "Take back" not in page


def test_runs_of_others_are_a_number(anna_client: Client, staff_client: Client, task: Task) -> None:
    make_machine("vm", cpus=64)
    bert = make_task(make_user("bert"), name="Secret rivers")
    mine = make_run(task, state=RunState.RUNNING, machine="vm")
    for _ in range(2):
        make_run(bert, state=RunState.RUNNING, machine="vm")
    shown = text(anna_client)
    assert "and 2 Runs of bert" in shown
    assert "Secret rivers" not in shown
    assert mine.get_absolute_url() in anna_client.get("/cluster/").content.decode()
    for_staff = text(staff_client)
    assert "Secret rivers #2 of bert" in for_staff
    assert "Runs of bert" not in for_staff


def test_many_machines_are_a_line_each_and_cost_the_statements_of_one(
    anna_client: Client, staff_client: Client, anna: User, task: Task
) -> None:
    def statements(client: Client) -> int:
        client.get("/cluster/")
        with CaptureQueriesContext(connection) as queries:
            assert client.get("/cluster/").status_code == 200
        assert not any("script_text" in query["sql"] for query in queries)
        return len(queries)

    make_machine("n0", cpus=64)
    make_run(task, state=RunState.RUNNING, machine="n0")
    one, one_for_staff = statements(anna_client), statements(staff_client)
    assert one <= 9
    for number in range(1, 200):
        make_machine(f"n{number}", drained_by=anna, drained_at=timezone.now())
    for number in range(20):
        make_run(task, state=RunState.RUNNING, machine=f"n{number % 2}")
        make_run(make_task(), state=RunState.RUNNING, machine="n0")
        make_run(task, reason=Reason.NO_ROOM, ahead=number)
    assert (statements(anna_client), statements(staff_client)) == (one, one_for_staff)
    shown = text(anna_client)
    assert "200 machines: 1 takes Runs, 199 drained. 20 in the queue" in shown
    assert "and 6 more" in shown
    assert anna_client.get("/cluster/").content.decode().count('id="machine-') == 200
    assert shown.index("n2 ") < shown.index("n10 ")


def test_the_queue_is_in_the_order_of_the_line(anna_client: Client, task: Task) -> None:
    waiting: list[dict[str, Any]] = [
        {"ahead": None, "reason": Reason.SUBMITTED, "explanation": "just in"},
        {"ahead": 0, "reason": Reason.USER_LIMIT, "explanation": "held back"},
        {"ahead": 200, "reason": Reason.NO_ROOM, "explanation": "far back"},
        {"ahead": 1, "reason": Reason.NO_ROOM, "explanation": "comes next"},
        {"ahead": 0, "reason": Reason.NO_ROOM, "explanation": "is at the head"},
    ]
    for number, fields in enumerate(waiting, start=1):
        make_run(task, number=number, **fields)
    shown = text(anna_client)
    told = ("is at the head", "comes next", "far back", "just in", "held back")
    assert sorted(told, key=shown.index) == list(told)
    assert re.findall(r"\b\d+\. ", shown) == ["1. ", "2. "]


def test_one_click_drains_and_takes_back(staff_client: Client) -> None:
    machine = make_machine("vm")
    assert "Drain" in text(staff_client)
    drained = staff_client.post(reverse("machine_drain", args=[machine.pk]), headers=HTMX)
    assert "Take back" in drained.content.decode()
    assert "<main" not in drained.content.decode()
    machine.refresh_from_db()
    assert str(machine.drained_by) == "root"
    back = act(staff_client, "machine_drain", machine, undo="1")
    assert back.headers["Location"] == "/cluster/"
    machine.refresh_from_db()
    assert machine.drained_at is None


def test_advice_is_for_administrators(anna_client: Client, staff_client: Client) -> None:
    make_machine("vm", advice="Start its agent with a longer pull timeout.")
    assert "longer pull timeout" in text(staff_client)
    assert "longer pull timeout" not in text(anna_client)


def test_a_machine_that_answers_offers_no_loss(staff_client: Client) -> None:
    machine = make_machine("vm")
    assert "Declare lost" not in text(staff_client)
    address = reverse("machine_lost", args=[machine.pk])
    assert "vm answers, so it is not lost." in text(staff_client, address)
    refused = staff_client.post(address, {"name": "vm"})
    assert refused.status_code == 422
    machine.refresh_from_db()
    assert machine.lost_at is None


def test_declaring_lost_says_first_what_will_happen(staff_client: Client, task: Task) -> None:
    machine = make_machine("vm", present=False)
    assert "Declare lost…" in text(staff_client)
    make_run(task, state=RunState.RUNNING, machine="vm")
    make_run(task, state=RunState.STARTING, machine="vm")
    make_run(task, state=RunState.RUNNING, machine="vm", retry_if_lost=True)
    make_run(task, state=RunState.RUNNING, machine="vm", cancel_requested_at=timezone.now())
    make_run(task, state=RunState.SUCCEEDED, machine="vm")
    address = reverse("machine_lost", args=[machine.pk])
    shown = text(staff_client, address)
    for wanted in (
        "This can’t be undone.",
        "2 become failed (node lost)",
        "1 starts again, as its owner allowed",
        "1 becomes cancelled, as was asked",
        "Rivers #1 of anna",
    ):
        assert wanted in shown, wanted
    mistyped = staff_client.post(address, {"name": "another"})
    assert mistyped.status_code == 422
    assert "That is not its name. Nothing was changed." in mistyped.content.decode()
    machine.refresh_from_db()
    assert machine.lost_at is None
    done = staff_client.post(address, {"name": "vm"}, follow=True)
    assert "vm is declared lost." in done.content.decode()
    machine.refresh_from_db()
    assert str(machine.lost_by) == "root"


def test_a_loss_without_runs_says_that_nothing_ends(staff_client: Client) -> None:
    machine = make_machine("vm", present=False)
    shown = text(staff_client, reverse("machine_lost", args=[machine.pk]))
    assert "No Run is on it, so nothing ends." in shown


def test_only_administrators_see_and_may_do_it(anna_client: Client) -> None:
    machine = make_machine("vm", present=False)
    shown = anna_client.get("/cluster/").content.decode()
    for name in ("machine_drain", "machine_lost"):
        address = reverse(name, args=[machine.pk])
        assert address not in shown
        assert anna_client.post(address, {"name": "vm"}).status_code == 403
        assert Client().post(address, {"name": "vm"}).status_code == 302
    assert anna_client.get(reverse("machine_lost", args=[machine.pk])).status_code == 403
    machine.refresh_from_db()
    assert (machine.drained_at, machine.lost_at) == (None, None)


def test_changes_need_post_a_token_and_a_machine(staff_client: Client) -> None:
    machine = make_machine("vm")
    assert staff_client.get(reverse("machine_drain", args=[machine.pk])).status_code == 405
    for pk in (10**6, 10**40):
        assert staff_client.post(f"/cluster/machines/{pk}/drain/").status_code == 404
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(make_user(staff=True))
    assert act(strict, "machine_drain", machine).status_code == 403


def test_a_home_page_without_a_machine_that_takes_runs_says_so(anna_client: Client) -> None:
    make_machine("vm", drained_at=timezone.now())
    assert "No machine takes Runs now" in text(anna_client, "/")
