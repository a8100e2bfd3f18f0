"""The checks of the suite can fail: each kind of damage is seen. Needs no portal."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.chaos.cases import cases, sample
from tests.chaos.faults import FAULTS
from tests.chaos.moments import MOMENTS
from tests.chaos.scripts import QUICK, REFUSED, STOPPING
from tests.chaos.verdict import CANCELLED, DISK_FULL, KILLED, SUCCEEDED, Evidence, Verdict, judge

WHOLE = QUICK.output
RUN: dict[str, Any] = {
    "state": "succeeded",
    "reason": "",
    "explanation": "",
    "exit_code": 0,
    "log_size": len(WHOLE),
}
GOOD = Evidence(
    run=RUN,
    script=QUICK,
    done=b"1\n",
    file=WHOLE,
    received=WHOLE,
    listened=WHOLE,
    told={"state": "succeeded", "size": len(WHOLE)},
    seconds=1.0,
)


def printed(data: bytes, evidence: Evidence = GOOD, **fields: Any) -> Evidence:
    """The same, if that is what the log holds and everybody was shown."""
    run = {**RUN, "log_size": len(data), **fields}
    told = {"state": run["state"], "size": len(data)}
    return replace(evidence, run=run, file=data, received=data, listened=data, told=told)


def kinds(verdict: Verdict) -> tuple[bool, bool, bool]:
    return bool(verdict.lost), bool(verdict.doubled), bool(verdict.wrong)


def test_a_good_run_passes() -> None:
    assert judge(GOOD, {SUCCEEDED}).problems == []


LOST, DOUBLED, WRONG = (True, False, False), (False, True, False), (False, False, True)
_LINE = b"line 7 of a Run's log\n"


@pytest.mark.parametrize(
    ("evidence", "expected"),
    [
        pytest.param(replace(GOOD, run=None), LOST, id="the Run is gone"),
        pytest.param(replace(GOOD, run={**RUN, "state": "running"}), WRONG, id="never final"),
        pytest.param(replace(GOOD, seconds=61.0), WRONG, id="too late"),
        pytest.param(replace(GOOD, done=b""), LOST, id="work not done"),
        pytest.param(replace(GOOD, done=b"1\n2\n"), DOUBLED, id="work done twice"),
        pytest.param(printed(WHOLE[:-1]), LOST, id="last byte of the log missing"),
        pytest.param(printed(WHOLE.replace(_LINE, b"")), LOST, id="line of the log missing"),
        pytest.param(printed(WHOLE + _LINE), DOUBLED, id="line of the log doubled"),
        pytest.param(replace(GOOD, received=WHOLE[1:]), LOST, id="curl misses a byte"),
        pytest.param(replace(GOOD, listened=WHOLE[:-1]), LOST, id="browser misses a byte"),
        pytest.param(replace(GOOD, listened=WHOLE + b"x"), DOUBLED, id="browser gets too much"),
        pytest.param(replace(GOOD, gaps=("a gap",)), WRONG, id="the socket skipped"),
        pytest.param(replace(GOOD, told=None), WRONG, id="no end was told"),
        pytest.param(replace(GOOD, run={**RUN, "log_size": 1}), WRONG, id="wrong size"),
        pytest.param(printed(REFUSED + WHOLE), LOST, id="refused although the disk was never full"),
    ],
)
def test_damage_is_seen(evidence: Evidence, expected: tuple[bool, bool, bool]) -> None:
    assert kinds(judge(evidence, {SUCCEEDED})) == expected


def test_another_end_than_the_right_one_is_wrong() -> None:
    assert kinds(judge(GOOD, {CANCELLED})) == WRONG
    failed = printed(WHOLE, state="failed", reason="exit_code", exit_code=1)
    assert kinds(judge(failed, {KILLED})) == WRONG


def test_what_was_killed_has_the_beginning_of_its_log() -> None:
    killed = {"state": "failed", "reason": "killed", "exit_code": 137}
    part = printed(WHOLE[:100], replace(GOOD, was_killed=True), **killed)
    assert judge(part, {KILLED}).problems == []
    assert kinds(judge(printed(WHOLE[10:100], part, **killed), {KILLED})) == LOST
    # Killed before its first instant it did nothing, and that is all right.
    assert judge(replace(printed(b"", part, **killed), done=b""), {KILLED}).problems == []
    assert kinds(judge(replace(part, done=b""), {KILLED})) == LOST


def test_a_full_disk_may_refuse_and_must_say_so() -> None:
    full = replace(GOOD, disk_was_full=True)
    allowed = {SUCCEEDED, DISK_FULL}
    assert judge(replace(printed(REFUSED + WHOLE, full), done=b""), allowed).problems == []
    said = {"state": "failed", "reason": "disk_full"}
    assert judge(printed(WHOLE[:50], full, **said), allowed).problems == []
    assert kinds(judge(printed(WHOLE[:50], full), allowed)) == LOST
    assert kinds(judge(printed(WHOLE, full, **said), allowed)) == WRONG


def test_a_cancelled_run_keeps_its_last_words() -> None:
    cancelled = {"state": "cancelled", "reason": "cancelled"}
    stopped = replace(GOOD, script=STOPPING)
    assert judge(printed(STOPPING.output, stopped, **cancelled), {CANCELLED}).problems == []
    cut = printed(STOPPING.output.replace(b"bye\n", b""), stopped, **cancelled)
    assert kinds(judge(cut, {CANCELLED})) == LOST


def test_every_fault_meets_every_moment_on_every_backend() -> None:
    table = cases(postgresql=True)
    names = {(c.backend, c.fault.name, c.moment) for c in table}
    for backend in ("local", "docker"):
        for fault in FAULTS:
            if backend in fault.backends:
                missing = {m for m in MOMENTS if (backend, fault.name, m) not in names}
                # Before there is a container none can be killed.
                assert missing == ({"just submitted", "meanwhile"} if fault.ends_the_run else set())


@pytest.mark.parametrize("seed", range(20))
def test_a_sample_has_every_fault_and_every_moment(seed: int) -> None:
    table = cases(postgresql=True)
    found = sample(table, 12, seed)
    assert found == sample(table, 12, seed)
    assert {case.fault.name for case in found} == {fault.name for fault in FAULTS}
    assert {case.moment for case in found} == set(MOMENTS)
    assert min(sum(c.backend == each for c in found) for each in ("local", "docker")) >= 4
