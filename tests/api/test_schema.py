"""The OpenAPI schema is complete, and the reference is made from it."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import call_command
from django.test import Client
from pytest_django.fixtures import Settings

from accounts.models import Scope
from tests.conftest import mark_storage
from tests.site.matrix import add_clients, make_scene

pytestmark = pytest.mark.django_db


def schema() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(Client().get("/api/v1/schema/").content)
    return loaded


def test_the_schema_is_valid_and_leaves_nothing_to_guess(tmp_path: Any) -> None:
    with warnings.catch_warnings():
        call_command(
            "spectacular", "--fail-on-warn", "--validate", "--file", str(tmp_path / "schema.yml")
        )
    assert (tmp_path / "schema.yml").stat().st_size > 10_000


def test_every_operation_has_a_sentence_an_id_and_both_ways_to_sign_in() -> None:
    operations = [
        operation for methods in schema()["paths"].values() for operation in methods.values()
    ]
    assert len(operations) > 27
    for operation in operations:
        assert operation["description"].endswith("."), operation["operationId"]
        assert [list(each) for each in operation["security"]] == [["token"], ["cookieAuth"]]
        assert operation["x-scope"] in list(Scope), operation["operationId"]
        assert {"401", "403", "429"} <= set(operation["responses"])
    ids = [operation["operationId"] for operation in operations]
    assert len(set(ids)) == len(ids)


def test_every_problem_is_described_as_one() -> None:
    loaded = schema()
    problem = {"schema": {"$ref": "#/components/schemas/Problem"}}
    for methods in loaded["paths"].values():
        for operation in methods.values():
            for status, response in operation["responses"].items():
                if int(status) >= 400:
                    assert response["content"] == {"application/problem+json": problem}


def test_the_reference_names_every_operation_and_needs_no_script() -> None:
    page = Client().get("/api/docs/")
    assert page.status_code == 200
    text = page.content.decode()
    for path, methods in schema()["paths"].items():
        assert path in text
        for operation in methods.values():
            assert f'id="{operation["operationId"]}"' in text
    assert "<script" not in text
    assert "retry_if_lost" in text


def test_a_body_that_is_not_taken_is_refused_everywhere(
    db: None, tmp_path: Path, settings: Settings
) -> None:
    """Of every operation that changes something: it has a body in the schema, or refuses one."""
    settings.RCLUSTER_STORAGE = mark_storage(tmp_path / "storage")
    settings.RCLUSTER_USER = "nobody"
    settings.RCLUSTER_RATE_REQUESTS = 0
    scene = make_scene()
    add_clients(scene)
    asked = 0
    for path, methods in schema()["paths"].items():
        for method, operation in methods.items():
            if method == "get" or "requestBody" in operation:
                continue
            asked += 1
            route = re.sub(r"{(\w+)}", r"<str:\1>", path).removeprefix("/")
            address = scene.address(route.replace("<str:announcement>", "<int:announcement>"))
            answer = scene.clients["staff"].generic(
                method.upper(), address, b'{"now": true}', content_type="application/json"
            )
            assert answer.status_code == 400, (operation["operationId"], answer.content)
            assert "takes no body" in answer.json()["detail"]
    assert asked > 20
