"""What a token may be used for; test_matrix.py asks every address."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from accounts.models import ApiToken, AuditEntry, Scope, User
from jobs.models import Task
from tests.factories import PASSWORD, make_token


def script(user: User, *scopes: str) -> Client:
    return Client(headers={"Authorization": f"Bearer {make_token(user, scopes=list(scopes))}"})


def post(client: Client, address: str, body: Any) -> Any:
    return client.post(f"/api/v1/{address}", body, content_type="application/json")


def test_what_a_token_lacks_is_named(owner: User, task: Task) -> None:
    refused = post(
        script(owner, "read", "files"), f"tasks/{task.public_id}/runs", {"command": "ls"}
    )
    assert (refused.status_code, refused["Content-Type"]) == (403, "application/problem+json")
    assert "“run”" in refused.json()["detail"]
    assert "account page" in refused.json()["detail"]
    made = post(script(owner, "run"), f"tasks/{task.public_id}/runs", {"command": "ls"})
    assert made.status_code == 201


def test_files_are_changed_with_files_and_downloaded_with_read(
    owner: User, task: Task, put: Callable[[str, bytes], None]
) -> None:
    put("code/main.R", b"1\n")
    address = f"/api/v1/tasks/{task.public_id}/files/code/main.R"
    files, read = script(owner, "files"), script(owner, "read")
    assert files.put(address, b"2\n", content_type="text/plain").status_code == 200
    assert files.get(address).status_code == 403
    assert b"".join(read.get(address).streaming_content) == b"2\n"  # type: ignore[attr-defined]
    assert read.put(address, b"3\n", content_type="text/plain").status_code == 403


def test_a_token_makes_none_that_may_do_more(owner: User) -> None:
    assert post(script(owner, "read", "run", "files"), "tokens", {"name": "a"}).status_code == 403
    maker = script(owner, "read", "manage")
    refused = post(maker, "tokens", {"name": "a", "scopes": ["read", "run"]})
    assert (refused.status_code, list(refused.json()["errors"])) == (400, ["scopes"])
    assert "run" in refused.json()["detail"]
    assert post(maker, "tokens", {"name": "b", "scopes": ["manage", "read"]}).status_code == 201
    assert ApiToken.objects.get(name="b").scopes == ["read", "manage"]
    usual = post(maker, "tokens", {"name": "c"})
    assert usual.json()["scopes"] == ["read"]


def test_a_new_token_may_not_manage_unless_asked(owner: User) -> None:
    client = Client()
    client.login(username="owner", password=PASSWORD)
    made = post(client, "tokens", {"name": "a"}).json()
    assert made["scopes"] == ["read", "run", "files"]
    assert AuditEntry.objects.get(action="token.made").subject_id == made["id"]
    assert client.delete(f"/api/v1/tokens/{made['id']}").status_code == 204
    assert AuditEntry.objects.get(action="token.revoked").actor == owner


def test_metrics_need_read(staff: User) -> None:
    assert script(staff, "manage").get("/metrics").status_code == 403
    assert script(staff, "read").get("/metrics").status_code == 200


def test_issued_on_the_machine(owner: User, capsys: pytest.CaptureFixture[str]) -> None:
    call_command(
        "issue_token", "--user", "owner", "--name", "x", "--scope", "read", "--scope", "run"
    )
    token = ApiToken.objects.get(digest=ApiToken.digest_of(capsys.readouterr().out.strip()))
    assert token.scopes == ["read", "run"]
    call_command("issue_token", "--user", "owner", "--name", "x")
    assert ApiToken.objects.get(user=owner).scopes == list(Scope)
    with pytest.raises(CommandError):
        call_command("issue_token", "--user", "owner", "--name", "x", "--scope", "root")


def test_made_on_the_machine_as_its_user_could_make_it(
    owner: User, capsys: pytest.CaptureFixture[str]
) -> None:
    """The launcher's word for it is in tests/launcher."""
    call_command("make_token", "owner", "--name=nightly", "--days=7", "--scopes=run, read")
    made = capsys.readouterr().out
    token = ApiToken.objects.get(digest=ApiToken.digest_of(made.strip()))
    assert made.count("\n") == 1
    assert token.scopes == ["read", "run"]
    assert timedelta(days=6.9) < token.expires_at - timezone.now() <= timedelta(days=7)
    entry = AuditEntry.objects.get(action="token.made")
    assert (entry.actor, entry.via, entry.detail[:9]) == (None, "command", "of owner,")
    call_command("make_token", "owner", "--name=usual")
    usual = ApiToken.objects.get(name="usual")
    assert usual.scopes == ["read", "run", "files"]
    assert usual.expires_at - timezone.now() <= timedelta(days=90)
    for words, told in (
        (["nobody", "--name=x"], "no active user nobody"),
        (["owner", "--name=usual"], "owner has a token named usual already"),
        (["owner", "--name="], "Give the token a name"),
        (["owner", "--name=x", "--days=1e9"], "a year at most"),
        (["owner", "--name=x", "--days=soon"], "give a number of days"),
        (["owner", "--name=x", "--days=-1"], "give a number of days"),
        (["owner", "--name=x", "--scopes=read,root"], "no scope “root”"),
    ):
        with pytest.raises(CommandError, match=told):
            call_command("make_token", *words)
