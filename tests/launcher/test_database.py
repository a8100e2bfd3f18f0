"""The temporary PostgreSQL of the tests: reachable by every user who knows the password, then gone."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

import dj_database_url
import psycopg
import pytest

from deploy.portal import packages
from deploy.portal.database import temporary_postgresql

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not packages.is_there("postgresql"), reason="PostgreSQL is not installed"),
]


def test_it_answers_on_a_socket_only_and_leaves_nothing() -> None:
    with temporary_postgresql() as url:
        sockets = Path(unquote(urlsplit(url).hostname or ""))
        django = dj_database_url.parse(url)
        assert Path(str(django["HOST"])) == sockets
        with psycopg.connect(url) as connection:
            row = connection.execute("SHOW listen_addresses").fetchone()
            assert row == ("",)
        wrong = url.replace(urlsplit(url).password or "-", "wrong")
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(wrong)
    assert not sockets.parent.exists()
