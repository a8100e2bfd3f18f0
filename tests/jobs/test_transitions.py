"""advance(): one winner, a timeline, no illegal move."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from jobs.models import Run, RunEvent
from jobs.states import ACTIVE, FINAL, MOVES, Reason, RunState
from jobs.transitions import IllegalMove, advance, explain
from tests.factories import make_run

pytestmark = pytest.mark.django_db


def test_the_second_of_two_who_move_a_run_changes_nothing() -> None:
    run = make_run(state=RunState.RUNNING)
    other = Run.objects.get(pk=run.pk)
    assert advance(run, RunState.SUCCEEDED, since=ACTIVE)
    assert not advance(other, RunState.FAILED, since=ACTIVE, reason=Reason.NODE_LOST)
    other.refresh_from_db()
    assert (other.state, other.reason) == (RunState.SUCCEEDED, "")
    assert RunEvent.objects.filter(run=run, state=RunState.FAILED).count() == 0


def test_news_of_an_earlier_attempt_moves_nothing() -> None:
    run = make_run(state=RunState.RUNNING, attempt=1)
    late = Run.objects.get(pk=run.pk)
    assert advance(run, RunState.QUEUED, since=ACTIVE)
    assert advance(
        run,
        RunState.STARTING,
        since={RunState.QUEUED},
        next_attempt=True,
        backend="local",
        machine="m",
    )
    assert run.attempt == 2
    assert not advance(late, RunState.SUCCEEDED, since=ACTIVE)


def test_a_run_whose_end_was_asked_for_neither_starts_nor_goes_back_to_the_queue() -> None:
    asked = timezone.now()
    starting = make_run(state=RunState.STARTING, cancel_requested_at=asked)
    assert not advance(starting, RunState.QUEUED, since=ACTIVE)
    queued = make_run(state=RunState.QUEUED, cancel_requested_at=asked)
    assert not advance(queued, RunState.STARTING, since={RunState.QUEUED}, next_attempt=True)


def test_clocks_that_differ_do_not_keep_a_run_from_ending() -> None:
    run = make_run(created_at=timezone.now() + timedelta(hours=1))
    assert advance(run, RunState.CANCELLED, since={RunState.QUEUED})


@pytest.mark.parametrize("state", sorted(FINAL))
def test_final_states_have_no_exit(state: RunState) -> None:
    run = make_run(state=state)
    assert not [move for move in MOVES if move[0] is state]
    with pytest.raises(IllegalMove):
        advance(run, RunState.QUEUED, since={state})


def test_an_end_is_timed_and_written_to_the_timeline() -> None:
    run = make_run(state=RunState.RUNNING)
    advance(
        run,
        RunState.FAILED,
        since=ACTIVE,
        reason=Reason.EXIT_CODE,
        explanation="Ended with exit status 3.",
    )
    run.refresh_from_db()
    assert run.finished_at is not None
    last = RunEvent.objects.filter(run=run).latest("id")
    assert (last.state, last.reason, last.explanation) == (
        "failed",
        "exit_code",
        "Ended with exit status 3.",
    )


def test_a_sentence_is_written_only_when_it_is_new(
    django_assert_num_queries: pytest.FixtureRequest,
) -> None:
    run = make_run()
    assert explain(run, Reason.NO_ROOM, "Needs 4 CPUs.")
    with django_assert_num_queries(0):  # type: ignore[operator]
        assert not explain(run, Reason.NO_ROOM, "Needs 4 CPUs.")


def test_the_database_refuses_a_final_run_without_an_end() -> None:
    run = make_run(state=RunState.RUNNING)
    with pytest.raises(IntegrityError), transaction.atomic():
        Run.objects.filter(pk=run.pk).update(state=RunState.FAILED)
