"""The pages of Datasets: what each kind of person sees there, and what their forms do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django.fixtures import Settings

from accounts.models import User
from files.models import Dataset
from jobs import services
from jobs.models import Task
from jobs.views.datasets import console_datasets, task_datasets
from tests.conftest import mark_storage
from tests.factories import make_environment, make_run, make_task, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def root(tmp_path: Path, settings: Settings) -> Path:
    settings.RCLUSTER_STORAGE = mark_storage(tmp_path / "storage")
    settings.RCLUSTER_USER = "nobody"
    return tmp_path / "storage"


@pytest.fixture
def anna() -> User:
    return make_user("anna")


@pytest.fixture
def rivers(anna: User) -> Dataset:
    return services.create_dataset(user=anna, name="rivers", description="of Europe")


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def text(answer: Any) -> str:
    return str(answer.content.decode())


def post(client: Client, dataset: Dataset, what: str, **form: str) -> str:
    """The page that the form leads to."""
    answer = client.post(f"/datasets/{dataset.public_id}/{what}/", form, follow=True)
    assert answer.status_code == 200
    return text(answer)


def test_who_may_look(anna: User, rivers: Dataset) -> None:
    address = f"/datasets/{rivers.public_id}/"
    assert Client().get(address).status_code == 302
    for path in (address, f"{address}now/"):
        assert signed_in(make_user()).get(path).status_code == 404
        assert signed_in(anna).get(path).status_code == 200
    for what in ("change", "share", "delete", "restore"):
        assert signed_in(make_user()).post(f"{address}{what}/").status_code == 404
        assert signed_in(anna).get(f"{address}{what}/").status_code == 405


def test_readers_and_editors_see_what_they_may_do(anna: User, rivers: Dataset) -> None:
    person = make_user("bert")
    client = signed_in(person)
    seen = {}
    for role in ("reader", "editor"):
        services.share_dataset(user=anna, dataset=rivers, person=person, role=role)
        page = text(client.get(f"/datasets/{rivers.public_id}/"))
        words = ("Change the description", "Who may use it", "Delete the Dataset", "no longer need")
        seen[role] = [word in page for word in words] + ["Ask anna to make you an editor" in page]
    assert seen == {
        "reader": [False, False, False, True, True],
        "editor": [True, False, False, True, False],
    }
    assert "You left rivers" in post(client, rivers, "share", username="bert", role="none")
    assert client.get(f"/datasets/{rivers.public_id}/").status_code == 404


def test_the_owner_shares_and_takes_back(anna: User, rivers: Dataset) -> None:
    make_user("bert")
    client = signed_in(anna)
    assert "nobody called" in post(client, rivers, "share", username="x", role="reader")
    assert "Shared with bert" in post(client, rivers, "share", username="bert", role="reader")
    assert rivers.members.get().role == "reader"
    assert "may no longer" in post(client, rivers, "share", username="bert", role="none")
    assert not rivers.members.exists()
    assert "for everybody" in post(client, rivers, "change", for_everybody="1")
    assert "bert owns rivers" in post(client, rivers, "share", username="bert", role="owner")
    rivers.refresh_from_db()
    assert (rivers.owner.username, rivers.description) == ("bert", "of Europe")


def test_somebody_switched_off_is_taken_off(anna: User, rivers: Dataset) -> None:
    bert = make_user("bert")
    services.share_dataset(user=anna, dataset=rivers, person=bert, role="editor")
    User.objects.filter(pk=bert.pk).update(is_active=False)
    assert "may no longer" in post(signed_in(anna), rivers, "share", username="bert", role="none")
    assert not rivers.members.exists()


def test_deleting_for_good_takes_its_name(anna: User, rivers: Dataset) -> None:
    client = signed_in(anna)
    address = f"/datasets/{rivers.public_id}/purge/"
    assert client.get(address).status_code == 404
    post(client, rivers, "delete")
    for page in ("/datasets/", f"/datasets/{rivers.public_id}/"):
        assert address in text(client.get(page))
    assert "Type" in text(client.get(address))
    assert client.post(address, {"name": "lakes"}).status_code == 422
    assert Dataset.objects.exists()
    assert "rivers is deleted" in text(client.post(address, {"name": "rivers"}, follow=True))
    assert not Dataset.objects.exists()


def test_the_list_and_the_bin(anna: User, rivers: Dataset) -> None:
    client = signed_in(anna)
    assert "No Dataset yet" in text(signed_in(make_user()).get("/datasets/"))
    assert "rivers" in text(client.get("/datasets/"))
    assert "is in the bin" in post(client, rivers, "delete")
    page = text(client.get("/datasets/"))
    assert "No Dataset yet" in page and "In the bin" in page
    assert "rivers is back" in post(client, rivers, "restore")


def test_one_in_use_stays(anna: User, rivers: Dataset) -> None:
    kept = [{"id": rivers.public_id, "name": "rivers", "path": "data/rivers"}]
    make_run(make_task(anna), datasets=kept)
    assert "A Run waits or runs with this Dataset" in post(signed_in(anna), rivers, "delete")
    rivers.refresh_from_db()
    assert rivers.deleted_at is None


def test_making_one_and_being_refused(anna: User, root: Path) -> None:
    client = signed_in(anna)
    refused = client.post("/datasets/", {"name": "My <b>Rivers", "description": "kept"})
    assert refused.status_code == 422
    assert "My &lt;b&gt;Rivers" in text(refused) and "kept" in text(refused)
    made = client.post("/datasets/", {"name": "lakes", "for_everybody": "on"}, follow=True)
    assert "lakes" in text(made) and Dataset.objects.get().for_everybody
    (root / "archive").mkdir()
    in_place = {"name": "old", "path": "archive"}
    assert "Register a folder" not in text(client.get("/datasets/"))
    assert client.post("/datasets/", in_place).status_code == 422
    staff = signed_in(make_user(staff=True))
    page = text(staff.post("/datasets/", in_place, follow=True))
    assert "registered in place" in page and "the folder stays as it is" in page


def test_sizes_are_told_with_when(anna: User, rivers: Dataset) -> None:
    address = f"/datasets/{rivers.public_id}/now/"
    assert "not measured yet" in text(signed_in(anna).get(address))
    Dataset.objects.update(
        size=3 * 1024**3, file_count=1, measured_at=timezone.now(), measured_in_part=True
    )
    page = " ".join(text(signed_in(anna).get(address)).split())
    assert "over 3 GB in 1 file " in page
    assert "just now</time>" in page


def test_a_task_chooses_among_those_that_its_editor_may_use(anna: User, rivers: Dataset) -> None:
    bert = make_user("bert")
    make_environment()
    task = make_task(bert)
    lakes = services.create_dataset(user=bert, name="lakes")
    task.datasets.add(rivers)
    choices = task_datasets(bert, task)["dataset_choices"]
    assert [(c.dataset.name, c.chosen, c.usable) for c in choices] == [
        ("rivers", True, False),
        ("lakes", False, True),
    ]
    assert [each["closed"] for each in console_datasets(bert, task)] == [
        "It is not shared with you: ask anna."
    ]
    address = f"/tasks/{task.public_id}/datasets/"
    assert signed_in(anna).post(address).status_code == 404
    signed_in(bert).post(address, {"dataset": [lakes.public_id]})
    assert list(task.datasets.all()) == [lakes]
    signed_in(bert).post(address, {"dataset": [rivers.public_id]})
    assert list(task.datasets.all()) == [lakes]
    viewer = make_user()
    task.members.create(user=viewer, role="viewer", added_by=bert)
    signed_in(viewer).post(address)
    assert list(task.datasets.all()) == [lakes]


def test_pages_cost_the_same_however_much_there_is(
    anna: User, rivers: Dataset, django_assert_max_num_queries: Any
) -> None:
    for number in range(5):
        services.create_dataset(user=anna, name=f"d{number}")
        task: Task = make_task(anna)
        task.datasets.add(rivers)
        services.share_dataset(user=anna, dataset=rivers, person=make_user(), role="reader")
    client = signed_in(anna)
    with django_assert_max_num_queries(12):
        client.get("/datasets/")
    with django_assert_max_num_queries(14):
        client.get(f"/datasets/{rivers.public_id}/")
