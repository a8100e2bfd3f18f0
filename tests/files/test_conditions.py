"""Saving only over what one has seen: of two who saw the same, one gets through."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from files.conditions import Changed, condition, etag_of
from files.safe import SafeFolder


@pytest.fixture
def folder(tmp_path: Path) -> SafeFolder:
    (tmp_path / "area").mkdir()
    return SafeFolder(tmp_path / "area")


def test_what_the_headers_mean(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    found = (tmp_path / "file").stat()
    etag = etag_of(found)
    for match, none_match in (("", ""), (etag, ""), (f'"x", {etag}', ""), ("*", ""), ("", '"x"')):
        condition(match, none_match)(found)
    for match, none_match in (('"x"', ""), (f"W/{etag}", ""), ("", "*"), ("", etag), ("junk", "")):
        with pytest.raises(Changed):
            condition(match, none_match)(found)
    condition("", "*")(None)
    for match in (etag, "*"):
        with pytest.raises(Changed, match="gone"):
            condition(match, "")(None)


def test_a_change_while_the_bytes_arrive_counts(folder: SafeFolder) -> None:
    seen = folder.put("file", [b"old"], limit=99)

    def chunks() -> object:
        yield b"mine"
        folder.write("file", [b"theirs"], limit=99)

    with pytest.raises(Changed):
        folder.put("file", chunks(), limit=99, condition=condition(etag_of(seen), ""))  # type: ignore[arg-type]
    assert folder.read("file", limit=99) == b"theirs"
    assert [entry.name for entry in folder.entries()] == ["file"]


def test_of_many_writers_at_once_one_gets_through(folder: SafeFolder) -> None:
    for _ in range(10):
        seen = folder.put("file", [b"old"], limit=99)
        together = threading.Barrier(8)
        won: list[int] = []

        def save(
            number: int,
            seen: object = seen,
            together: threading.Barrier = together,
            kept: list[int] = won,
        ) -> None:
            unchanged = condition(etag_of(seen), "")  # type: ignore[arg-type]
            together.wait()
            try:
                folder.put("file", [b"%d" % number], limit=99, condition=unchanged)
            except Changed:
                return
            kept.append(number)

        threads = [threading.Thread(target=save, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(won) == 1
        assert folder.read("file", limit=99) == b"%d" % won[0]
