"""What the OpenAPI schema says is what the API does: schemathesis asks every operation, with what fits
the schema and with what does not, as an administrator who has one row of everything.

The fast suite asks each a few times; test_at_length (slow) as often as schemathesis thinks fit.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections
from hypothesis import HealthCheck, Phase, seed, settings
from pytest_django.fixtures import Settings
from schemathesis.config import SchemathesisConfig

from jobs.api.schema import whole
from tests.conftest import mark_storage
from tests.factories import make_token
from tests.site.matrix import make_scene

pytestmark = pytest.mark.django_db

IDS = {
    name: f"{'0' * 15}{number}"
    for number, name in enumerate(("task", "run", "token", "dataset"), start=1)
}
"""public ids of the rows, known before they are made"""
PATHS = {
    **IDS,
    "environment": "r",
    "machine": "here",
    "username": "viewer",
    "area": "code",
    "path": "main.R",
}


def _schema(*, thorough: bool) -> Any:
    config = SchemathesisConfig.from_dict(
        {
            "parameters": {
                **{f"path.{name}": value for name, value in PATHS.items()},
                # Only an ASGI server can follow a log: tests/streams.
                "query.follow": False,
            },
            # A refusal of what fits the schema is the API's good right: no such machine, a name taken.
            "checks": {"positive_data_acceptance": {"enabled": False}},
            "phases": {"coverage": {"enabled": thorough}},
            "seed": 1,
        }
    )
    schema = schemathesis.openapi.from_dict(whole(), config=config)
    schema.app = _application
    return schema


def _application(environ: Any, start_response: Any) -> list[bytes]:
    """The portal, with its answers read to the end and closed, as a server does."""
    answer: Any = _PORTAL(environ, start_response)
    try:
        return [b"".join(answer)]
    finally:
        answer.close()


_PORTAL = get_wsgi_application()
FAST = _schema(thorough=False)
THOROUGH = _schema(thorough=True)
QUIET = list(HealthCheck)


@pytest.fixture(autouse=True)
def one_connection() -> Iterator[None]:
    """As Django's own test client does: the test's transaction lives in this connection."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.fixture
def headers(db: None, tmp_path: Path, settings: Settings) -> dict[str, str]:
    """An administrator's token, with which everything may be asked for."""
    settings.RCLUSTER_STORAGE = mark_storage(tmp_path / "storage")
    settings.RCLUSTER_USER = "nobody"
    settings.RCLUSTER_RATE_REQUESTS = settings.RCLUSTER_RATE_ANONYMOUS = 0
    return {"Authorization": f"Bearer {make_token(make_scene(IDS).people['staff'])}"}


@FAST.parametrize()  # type: ignore[untyped-decorator]
@settings(
    max_examples=3,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=QUIET,
)
@seed(1)
def test_the_schema_is_what_the_api_does(case: Any, headers: dict[str, str]) -> None:
    case.call_and_validate(headers=headers)


@pytest.mark.slow
@THOROUGH.parametrize()  # type: ignore[untyped-decorator]
@settings(
    max_examples=int(os.environ.get("RCLUSTER_EXAMPLES", "6")),
    deadline=None,
    database=None,
    suppress_health_check=QUIET,
)
@seed(1)
def test_at_length(case: Any, headers: dict[str, str]) -> None:
    case.call_and_validate(headers=headers)
