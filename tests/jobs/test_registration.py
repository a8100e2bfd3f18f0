"""What pages know of Mesos, and registering anew, on rows alone; a real Mesos: tests/mesos."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from jobs.backends.mesos_notes import FRAMEWORK, MASTER, REMOVED, MasterFacts, Removal, as_note
from jobs.models import BackendNote, Site
from jobs.registration import SETTLING, register_anew, registration
from jobs.services import Refused
from jobs.site import DatabaseNotes
from jobs.states import RunState
from tests.factories import make_machine, make_run, make_task, make_user

pytestmark = pytest.mark.django_db

FACTS = MasterFacts("10.0.0.1:5050", "1.11.0", "f-1", registered=True, agents=3, since=1e9)
SHORT = "Its executor_registration_timeout is 1 min, shorter than the 30 min"


@pytest.fixture(autouse=True)
def site() -> Site:
    site = Site.load()
    site.backend, site.backend_has_images = "mesos", True
    site.save()
    notes = DatabaseNotes()
    notes.put(FRAMEWORK, "f-1")
    notes.put(MASTER, as_note(FACTS))
    return site


@pytest.fixture
def staff() -> Iterator[Client]:
    client = Client()
    client.force_login(make_user("root", staff=True))
    yield client


@pytest.fixture
def person() -> Iterator[Client]:
    client = Client()
    client.force_login(make_user("anna"))
    yield client


def remove(ago: float = 60.0) -> None:
    DatabaseNotes().put(REMOVED, as_note(Removal("Framework has been removed", time.time() - ago)))


def text(client: Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200
    main = re.search(r"<main.*</main>", answer.content.decode(), re.DOTALL)
    assert main
    return " ".join(re.sub(r"<[^>]*>", " ", main[0]).split())


def test_it_costs_one_statement_and_none_where_there_is_no_mesos(site: Site) -> None:
    with CaptureQueriesContext(
        connection,
    ) as queries:
        found = registration(site)
    assert len(queries) == 1
    assert found
    assert (found.registered, found.master, found.agents) == (True, "10.0.0.1:5050", 3)
    site.backend = "docker"
    with CaptureQueriesContext(connection) as queries:
        assert registration(site) is None
    assert len(queries) == 0


def test_a_portal_that_never_asked_mesos_says_so(site: Site) -> None:
    BackendNote.objects.all().delete()
    found = registration(site)
    assert found
    assert not found.registered
    assert found.explanation == "The portal has not reached Mesos yet."


def test_the_page_names_master_and_agents(staff: Client, person: Client) -> None:
    shown = text(person, "/cluster/")
    assert "Mesos 1.11.0 leads at 10.0.0.1:5050 with 3 agents that answer." in shown
    assert "f-1" not in shown
    assert "as framework f-1" in text(staff, "/cluster/")
    assert "not registered" not in shown


def test_the_page_says_why_it_is_not_registered(person: Client) -> None:
    away = MasterFacts("10.0.0.1:5050", trouble="The Mesos master has fallen silent.", since=1e9)
    DatabaseNotes().put(MASTER, as_note(away))
    shown = text(person, "/cluster/")
    assert "The portal is not registered with Mesos. The Mesos master has fallen silent." in shown


def test_advice_is_for_administrators(staff: Client, person: Client) -> None:
    make_machine("agent1", backend="mesos", advice=SHORT)
    assert SHORT in text(staff, "/cluster/")
    assert SHORT not in text(person, "/cluster/")


def test_a_removed_framework_is_said_loudly(staff: Client, person: Client) -> None:
    remove()
    for path in ("/", "/cluster/"):
        shown = text(staff, path)
        assert "Mesos removed the portal’s registration" in shown
        assert "Register anew" in shown
    shown = text(person, "/cluster/")
    assert "Mesos removed the portal’s registration" in shown
    assert "Register anew" not in shown
    assert "leads at" not in shown


def test_the_confirmation_tells_what_becomes_of_runs(staff: Client) -> None:
    remove()
    task = make_task(name="Rivers")
    make_run(task, state=RunState.RUNNING, backend="mesos", machine="agent1")
    make_run(task, state=RunState.RUNNING, backend="mesos", machine="agent1", retry_if_lost=True)
    make_run(task, state=RunState.RUNNING, backend="local")
    shown = text(staff, "/cluster/register-anew/")
    assert "1 becomes failed (node lost)" in shown
    assert "1 starts again, as its owner allowed" in shown
    assert "Nothing else is touched" in shown
    answer = staff.post("/cluster/register-anew/")
    assert answer.status_code == 302
    assert DatabaseNotes().get(REMOVED) == ""
    assert DatabaseNotes().get(FRAMEWORK) == ""
    assert "there is nothing to register anew" in text(staff, "/cluster/register-anew/")


def test_only_administrators_may_and_only_when_there_is_reason(
    staff: Client, person: Client
) -> None:
    path = "/api/v1/cluster/register-anew"
    assert staff.post(path).status_code == 400
    remove()
    assert person.post(path).status_code == 403
    assert person.get("/cluster/register-anew/").status_code == 403
    assert person.post("/cluster/register-anew/").status_code == 403
    with pytest.raises(Refused, match="Only administrators"):
        register_anew(user=make_user("eve"))
    assert DatabaseNotes().get(REMOVED)
    answer = staff.post(path)
    assert answer.status_code == 200
    told = answer.json()
    assert (told["registered"], told["removed_at"]) == (False, None)
    assert told["explanation"] == "It registers anew."


def test_mesos_has_time_to_end_what_ran(staff: Client) -> None:
    remove(ago=SETTLING - 5)
    answer = staff.post("/cluster/register-anew/")
    assert answer.status_code == 422
    assert "try again in 5 seconds" in answer.content.decode()
    assert DatabaseNotes().get(REMOVED)


def test_the_api_tells_the_same(person: Client) -> None:
    remove()
    told = person.get("/api/v1/cluster").json()["mesos"]
    assert told["master"] == "10.0.0.1:5050"
    assert not told["registered"]
    assert "Framework has been removed" in told["explanation"]
    assert told["removed_at"].endswith("Z")
