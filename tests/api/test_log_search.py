"""Searching a log on the server, and the numbers of its lines, whatever the log holds."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from jobs import attempts, logsearch, runlog
from jobs.models import Run, Task
from jobs.states import RunState
from tests.api.conftest import client_of
from tests.api.test_log import write_log
from tests.factories import make_run

Search = Callable[..., list[int]]


@pytest.fixture
def run(task: Task) -> Run:
    return make_run(task, state=RunState.SUCCEEDED)


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if every log were large: borders of pieces are everywhere."""
    whole = runlog.look

    def look(
        run: str, attempt: int, offset: int, *, limit: int = 0, tail: int | None = None
    ) -> Any:
        return whole(run, attempt, offset, limit=min(limit or 50, 50), tail=tail)

    monkeypatch.setattr(runlog, "look", look)
    monkeypatch.setattr(logsearch, "OVERLAP", 30)
    monkeypatch.setattr(logsearch._Counts, "STRETCH", 64)
    monkeypatch.setattr(logsearch, "_counts", logsearch._Counts())


@pytest.fixture
def search(api: Client, run: Run) -> Search:
    """Offsets of all matches, over as many requests as it takes."""

    def ask(words: str, limit: int = 3) -> list[int]:
        found: list[int] = []
        start: int | None = 0
        while start is not None:
            response = api.get(
                f"/api/v1/runs/{run.public_id}/log/search",
                {"q": words, "from": str(start), "limit": str(limit)},
            )
            assert response.status_code == 200, response.content
            answer = response.json()
            found += [match["offset"] for match in answer["matches"]]
            assert len(answer["matches"]) <= limit
            start = answer["next"]
        return found

    return ask


def everywhere(content: bytes, words: bytes) -> list[int]:
    return [at for at in range(len(content)) if content.startswith(words, at)]


def test_every_match_is_found_once_also_across_pieces(run: Run, search: Search) -> None:
    lines = [b"%d %s needle %s" % (n, b"x" * (n % 41), b"y" * (n % 17)) for n in range(200)]
    content = b"\n".join(lines)
    write_log(run, content)
    assert search("needle") == everywhere(content, b"needle")
    assert search("x needle") == everywhere(content, b"x needle")
    assert search("no such words") == []


def test_a_line_without_end_is_searched_too(run: Run, search: Search) -> None:
    content = (b"0123456789" * 7 + b"NEEDLE") * 20
    write_log(run, content)
    assert search("NEEDLE") == everywhere(content, b"NEEDLE")


def test_small_letters_find_capitals_and_capitals_only_themselves(run: Run, search: Search) -> None:
    content = "Error ERROR error É é".encode()
    write_log(run, content)
    assert search("error") == [0, 6, 12]
    assert search("Error") == [0]
    assert search("é") == [18, 21]
    assert search("É") == [18]


def test_colours_and_bytes_that_are_no_text_hide_nothing(run: Run, search: Search) -> None:
    content = b"\xff\x00\x1b[1;31mEr\x1b[0mror\x1b[m (50%) [a]\n"
    write_log(run, content)
    assert search("error") == [content.index(b"Er")]
    assert search("(50%) [a]") == [content.index(b"(50")]


def test_a_match_of_another_alphabet_in_colours_has_its_own_place(run: Run, search: Search) -> None:
    content = "\x1b[1m\x1b[31mŽ\x1b[0mluťoučký ŽLUŤ\x1b[m straße STRASSE\n".encode()
    write_log(run, content)
    assert search("žluť") == [content.index("Ž".encode()), content.index("ŽL".encode())]
    assert search("straße") == [content.index("straße".encode()), content.index(b"STRASSE")]
    assert search("Straße") == []


@pytest.mark.parametrize("letter", ["a", "\x1b[m", "a\x1b[m", "a\x1b[0", "ä", "\x1b["], ids=ascii)
@pytest.mark.parametrize("words", ["a" * 199 + "b", "ä" * 199 + "b"], ids=["a", "ä"])
def test_no_log_makes_a_search_slow(letter: str, words: str) -> None:
    """As long as a piece is large, however its bytes repeat: it holds the process's only lock."""
    find = logsearch._finder(words)

    def seconds(piece: bytes) -> float:
        begun = time.process_time()
        assert list(find(piece)) == []
        return time.process_time() - begun

    usual = min(seconds(b"0123456789 words\x1b[m\n" * 25_000) for _ in range(3))
    repeated = letter.encode() * (512 * 1024 // len(letter.encode()))
    assert min(seconds(repeated + b"\x1b[m") for _ in range(3)) < 20 * usual + 0.1


def test_a_match_is_shown_with_its_line(api: Client, run: Run) -> None:
    write_log(run, b"before\n\x1b[32mcaf\xe9\x1b[0m \x00 found it\nafter\n")
    response = api.get(f"/api/v1/runs/{run.public_id}/log/search", {"q": "found"})
    answer = response.json()
    assert [match["excerpt"] for match in answer["matches"]] == ["caf\ufffd \u2400 found it"]
    assert (answer["attempt"], answer["next"], answer["size"]) == (1, None, 38)


def test_a_search_ends_by_itself_and_says_where_to_go_on(
    run: Run, search: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = b"line\n" * 100 + b"needle"
    write_log(run, content)
    monkeypatch.setattr(logsearch, "SECONDS", -1.0)
    first = logsearch.search(run.public_id, 1, "needle")
    assert (first.matches, first.next) == ([], 50)
    assert search("needle") == [500]


@pytest.mark.parametrize(
    "query", [{}, {"q": ""}, {"q": "x" * 201}, {"q": "a\nb"}, {"q": "x", "limit": 1001}]
)
def test_nonsense_is_refused(api: Client, run: Run, query: dict[str, str]) -> None:
    response = api.get(f"/api/v1/runs/{run.public_id}/log/search", query)
    assert response.status_code == 400
    assert set(response.json()["errors"]) <= {"q", "limit"}


def test_when_many_search_one_is_told_to_come_back(
    api: Client, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logsearch, "PATIENCE", 0.01)
    held = [logsearch._scans.acquire() for _ in range(logsearch.AT_ONCE)]
    try:
        response = api.get(f"/api/v1/runs/{run.public_id}/log/search", {"q": "x"})
    finally:
        for _ in held:
            logsearch._scans.release()
    assert response.status_code == 503
    assert api.get(f"/api/v1/runs/{run.public_id}/log/search", {"q": "x"}).status_code == 200


def test_lines_have_numbers_and_numbers_have_places(api: Client, run: Run) -> None:
    lines = [b"x" * (n % 23) + b"\n" for n in range(150)]
    write_log(run, b"".join(lines) + b"the last")
    address = f"/api/v1/runs/{run.public_id}/log/position"
    offset = 0
    for number, line in enumerate([*lines, b"the last"], 1):
        if number % 7 == 0 or number > 148:
            for at in (offset, offset + len(line) - 1):
                answer = api.get(address, {"offset": at}).json()
                assert answer == {"attempt": 1, "line": number, "offset": offset}
            assert api.get(address, {"line": number}).json()["offset"] == offset
        offset += len(line)
    assert api.get(address, {"line": 152}).status_code == 404


def test_a_log_that_grew_or_shrank_is_counted_anew(api: Client, run: Run) -> None:
    write_log(run, b"a\n" * 100)
    address = f"/api/v1/runs/{run.public_id}/log/position"
    assert api.get(address, {"offset": 198}).json()["line"] == 100
    write_log(run, b"b\n" * 100)
    assert api.get(address, {"offset": 398}).json()["line"] == 200
    (attempts.folder(run.public_id, 1) / "log").write_bytes(b"long line\n" * 3)
    assert api.get(address, {"offset": 25}).json() == {"attempt": 1, "line": 3, "offset": 20}


def test_counting_that_takes_too_long_gives_no_number_and_is_nearer_next_time(
    api: Client, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_log(run, b"0123456\n" * 100)
    monkeypatch.setattr(logsearch, "COUNT_SECONDS", -1.0)
    address = f"/api/v1/runs/{run.public_id}/log/position"
    assert api.get(address, {"offset": 700}).json() == {"attempt": 1, "line": None, "offset": 696}
    assert api.get(address, {"line": 90}).status_code == 503
    monkeypatch.setattr(logsearch, "COUNT_SECONDS", 5.0)
    assert api.get(address, {"line": 90}).json()["offset"] == 89 * 8


def test_strangers_find_nothing(stranger: User, run: Run) -> None:
    for address in ("search?q=x", "position"):
        assert (
            client_of(stranger).get(f"/api/v1/runs/{run.public_id}/log/{address}").status_code
            == 404
        )
