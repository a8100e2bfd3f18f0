"""At most one ever works: two machines race for a permit by rename, over NFS.

A staircase sets the head starts: whoever won waits a little longer the next time. So the rounds
stay where both could win, and half of them are won by each.
"""

from __future__ import annotations

from collections import Counter

import pytest

from tests.nfs.lab import STORAGE, Conversation, Lab

pytestmark = [pytest.mark.nfs, pytest.mark.timeout(300)]

ROUNDS = 200
BOTH_WIN = ROUNDS // 5
"""rounds that each must have won, else they never met"""
STEP = 0.002
"""seconds of head start that a round won costs"""
NEVER_RAN = 125


def folder(run: str) -> str:
    return f"{STORAGE}/runs/{run}/1"


def traces(lab: Lab, run: str) -> tuple[list[str], str]:
    """The names in the attempt's folder but for the usual ones, and the log; on the server."""
    there = folder(run).replace(STORAGE, "/srv/export", 1)
    names, _, log = lab.server.shell(f"ls {there}; echo --; cat {there}/log").partition("--\n")
    return sorted(set(names.split()) - {"log", "exit", "script"}), log


def test_of_two_machines_one_runner_takes_the_permit(
    lab: Lab, portal: Conversation, node: Conversation
) -> None:
    wins: Counter[str] = Counter()
    lead = 0.0
    for run in portal.ask(do="prepare", count=ROUNDS)["runs"]:
        node.tell(do="claim", folder=folder(run), after=max(0.0, -lead))
        portal.tell(do="claim", folder=folder(run), after=max(0.0, lead))
        answers = {"writer": node.answer(), "reader": portal.answer()}
        assert sorted(answer["status"] for answer in answers.values()) == [0, NEVER_RAN], answers
        winner = next(name for name, answer in answers.items() if answer["status"] == 0)
        wins[winner] += 1
        lead += STEP if winner == "reader" else -STEP
        names, log = traces(lab, run)
        assert len(names) == 1, names
        assert names[0].startswith("started.")
        assert log == f"{winner}\n"
    print(f"\nrunner against runner: {dict(wins)}")  # noqa: T201
    assert sum(wins.values()) == ROUNDS
    assert min(wins["writer"], wins["reader"]) >= BOTH_WIN


def test_a_permit_is_taken_or_taken_back_never_both(
    lab: Lab, portal: Conversation, node: Conversation
) -> None:
    outcomes: Counter[str] = Counter()
    # The runner has to be started first.
    lead = 0.02
    runs = portal.ask(do="prepare", count=ROUNDS)["runs"]
    for run in runs:
        node.tell(do="claim", folder=folder(run), after=max(0.0, -lead))
        portal.tell(do="revoke", run=run, after=max(0.0, lead))
        permit, claim = portal.answer()["permit"], node.answer()
        names, log = traces(lab, run)
        if permit == "revoked":
            assert (claim["status"], names, log) == (NEVER_RAN, ["revoked"], "")
        else:
            assert (permit, claim["status"], log) == ("taken", 0, "writer\n")
            assert len(names) == 1, names
            assert names[0].startswith("started.")
        outcomes[permit] += 1
        lead += STEP if permit == "revoked" else -STEP
    print(f"\nruns against revocations: {dict(outcomes)}")  # noqa: T201
    assert min(outcomes["revoked"], outcomes["taken"]) >= BOTH_WIN
    # Afterwards both machines think the same.
    views = [machine.ask(do="permit", runs=runs)["permits"] for machine in (portal, node)]
    assert views[0] == views[1]
    assert Counter(views[0]) == outcomes
