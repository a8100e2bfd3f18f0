"""The wire format, against the examples that the TypeScript tests read too."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from jobs.events import Bytes, End, Reset, Skip, State, Storage, as_json

EXAMPLES: dict[str, dict[str, Any]] = json.loads(
    (Path(__file__).parent.parent / "fixtures" / "events.json").read_text()
)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("state", State), ("reset", Reset), ("skip", Skip), ("storage", Storage), ("end", End)],
)
def test_events_look_as_their_examples(
    name: str, kind: type[State | Reset | Skip | Storage | End]
) -> None:
    example = EXAMPLES[name]
    assert {field.name for field in dataclasses.fields(kind)} == set(example)
    assert as_json(kind(**example)) == example


def test_log_bytes_follow_their_offset() -> None:
    example = EXAMPLES["bytes"]
    frame = Bytes(example["offset"], example["text"].encode()).frame()
    assert frame.hex() == example["frame"]
