"""What the mesos backend writes down of the master, and what it says of agents' flags."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping

import pytest

from jobs.backends.base import BackendUnavailable
from jobs.backends.mesos_advice import AGAIN, Advisor, advice_for, seconds
from jobs.backends.mesos_notes import (
    MASTER,
    FactsKeeper,
    MasterFacts,
    Removal,
    as_note,
    facts,
    removal,
)
from tests.waiting import until

HERE = MasterFacts("m:5050", "1.11.0", "f-1", registered=True, agents=3)


class Notes(dict[str, str]):
    """Notes that count how often they are written."""

    def __init__(self) -> None:
        super().__init__()
        self.writes = 0

    def get(self, key: str) -> str:  # type: ignore[override] # a note has no other default
        return super().get(key, "")

    def put(self, key: str, value: str) -> None:
        self[key] = value
        self.writes += 1


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def notes() -> Notes:
    return Notes()


def told(notes: Notes) -> MasterFacts:
    found = facts(notes.get(MASTER))
    assert found
    return found


def test_only_news_is_written(notes: Notes) -> None:
    clock = Clock()
    keeper = FactsKeeper(notes, clock)
    for _ in range(5):
        keeper.tell(HERE)
        clock.now += 5
    assert notes.writes == 1
    assert told(notes).since == 100
    keeper.tell(MasterFacts("m:5050", "1.11.0", "f-1", registered=True, agents=2))
    assert (told(notes).agents, told(notes).since, notes.writes) == (2, 100, 2)


def test_what_is_not_known_now_stays_as_it_was(notes: Notes) -> None:
    clock = Clock()
    keeper = FactsKeeper(notes, clock)
    keeper.tell(HERE)
    clock.now = 160
    keeper.tell(MasterFacts(framework_id="f-1", trouble="It is silent."))
    away = told(notes)
    assert (away.master, away.version, away.agents) == ("m:5050", "1.11.0", 3)
    assert (away.registered, away.trouble, away.since) == (False, "It is silent.", 160)
    clock.now = 170
    keeper.tell(HERE)
    assert told(notes).since == 170


def test_another_process_goes_on_where_the_last_one_ended(notes: Notes) -> None:
    clock = Clock()
    FactsKeeper(notes, clock).tell(HERE)
    clock.now = 500
    FactsKeeper(notes, clock).tell(HERE)
    assert (told(notes).since, notes.writes) == (100, 1)


def test_notes_are_read_as_they_were_written() -> None:
    assert removal("") is None
    assert facts("") is None
    gone = Removal("Framework has been removed", 7.5)
    assert removal(as_note(gone)) == gone
    assert "register anew" in str(gone)
    newer = json.dumps(json.loads(as_note(HERE)) | {"region": "x"})
    assert facts(newer) == HERE


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1mins", 60), ("2.5hrs", 9000), ("1weeks", 604800), ("500ms", 0.5), ("", None), ("5", None),
     ("1.2.3secs", None)],
)  # fmt: skip
def test_durations_of_mesos(text: str, expected: float | None) -> None:
    assert seconds(text) == expected


def test_advice() -> None:
    right = {"executor_registration_timeout": "1hrs", "containerizers": "docker,mesos"}
    assert advice_for(right, pull_timeout=1800) == ""
    assert advice_for({}, pull_timeout=1800) == ""
    short = advice_for(right | {"executor_registration_timeout": "1mins"}, pull_timeout=1800)
    assert "is 1 min, shorter than the 30 min that pulling an image may take" in short
    assert "no Run can start there" in advice_for({"containerizers": "mesos"}, pull_timeout=1)
    assert "Set it to 15secs or less" in advice_for({"docker_remove_delay": "6hrs"}, pull_timeout=1)
    assert advice_for({"docker_remove_delay": "5secs"}, pull_timeout=1) == ""


class Agents:
    """Agents that tell their flags once they may."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.may = threading.Event()
        self.timeout = "1mins"
        self.away = False

    def flags(self, address: str) -> Mapping[str, str]:
        self.may.wait(10)
        self.asked.append(address)
        if self.away:
            raise BackendUnavailable("The Mesos agent does not answer.")
        return {"executor_registration_timeout": self.timeout}


@pytest.fixture
def agents() -> Agents:
    return Agents()


@pytest.fixture
def advisor(agents: Agents) -> Iterator[Advisor]:
    advisor = Advisor(agents.flags, pull_timeout=1800)
    yield advisor
    agents.may.set()
    advisor.close()


def test_an_agent_is_asked_once_and_nobody_waits_for_it(agents: Agents, advisor: Advisor) -> None:
    assert advisor.advice("n1", "a:5051", 1.0) == ""
    assert advisor.advice("n1", "a:5051", 1.0) == ""
    agents.may.set()
    until(lambda: advisor.advice("n1", "a:5051", 1.0), "the advice")
    assert agents.asked == ["a:5051"]


def test_it_is_asked_again_once_it_was_started_again(agents: Agents, advisor: Advisor) -> None:
    agents.may.set()
    until(lambda: advisor.advice("n1", "a:5051", 1.0), "the advice")
    agents.timeout = "1hrs"
    until(lambda: not advisor.advice("n1", "a:5051", 2.0), "its end")
    assert len(agents.asked) == 2


def test_one_that_does_not_tell_is_left_in_peace(
    agents: Agents, advisor: Advisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    agents.away = True
    agents.may.set()
    advisor.advice("n1", "a:5051", 1.0)
    until(lambda: agents.asked, "the question")
    for _ in range(10):
        advisor.advice("n1", "a:5051", 1.0)
    advisor.advice("n2", "b:5051", 1.0)
    until(lambda: "b:5051" in agents.asked, "the question of another")
    assert agents.asked == ["a:5051", "b:5051"]
    assert AGAIN >= 60
