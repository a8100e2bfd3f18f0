"""What Mesos says, what it means, and how a Run then ends."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from jobs.backends import mesos_status
from jobs.backends.base import ContainerStatus, Life
from jobs.backends.exit_record import ExitRecord
from jobs.backends.mesos_status import (
    REASONS,
    SOURCES,
    STATES,
    Means,
    is_settled_by_record,
    may_be_refusal,
    read,
    while_unwatched,
    with_record,
    with_refusal,
)
from jobs.endings import Ending, Facts, conclude
from jobs.states import Reason, RunState


def names(text: str) -> list[str]:
    return text.split()


# The names in mesos.v1 of Mesos 1.11.0 (include/mesos/v1/mesos.proto), as they stand in the
# descriptors inside libmesos-1.11.0.so.
TASK_STATES = names("""
    TASK_STAGING TASK_STARTING TASK_RUNNING TASK_KILLING TASK_FINISHED TASK_FAILED TASK_KILLED
    TASK_ERROR TASK_LOST TASK_DROPPED TASK_UNREACHABLE TASK_GONE TASK_GONE_BY_OPERATOR
    TASK_UNKNOWN
""")
TASK_REASONS = names("""
    REASON_COMMAND_EXECUTOR_FAILED REASON_CONTAINER_LAUNCH_FAILED REASON_CONTAINER_LIMITATION
    REASON_CONTAINER_LIMITATION_DISK REASON_CONTAINER_LIMITATION_MEMORY
    REASON_CONTAINER_PREEMPTED REASON_CONTAINER_UPDATE_FAILED
    REASON_MAX_COMPLETION_TIME_REACHED REASON_EXECUTOR_REGISTRATION_TIMEOUT
    REASON_EXECUTOR_REREGISTRATION_TIMEOUT REASON_EXECUTOR_TERMINATED
    REASON_EXECUTOR_UNREGISTERED REASON_FRAMEWORK_REMOVED REASON_GC_ERROR
    REASON_INVALID_FRAMEWORKID REASON_INVALID_OFFERS REASON_IO_SWITCHBOARD_EXITED
    REASON_MASTER_DISCONNECTED REASON_RECONCILIATION REASON_RESOURCES_UNKNOWN
    REASON_AGENT_DISCONNECTED REASON_AGENT_DRAINING REASON_AGENT_REMOVED
    REASON_AGENT_REMOVED_BY_OPERATOR REASON_AGENT_REREGISTERED REASON_AGENT_RESTARTED
    REASON_AGENT_UNKNOWN REASON_TASK_KILLED_DURING_LAUNCH REASON_TASK_CHECK_STATUS_UPDATED
    REASON_TASK_HEALTH_CHECK_STATUS_UPDATED REASON_TASK_GROUP_INVALID
    REASON_TASK_GROUP_UNAUTHORIZED REASON_TASK_INVALID REASON_TASK_UNAUTHORIZED
    REASON_TASK_UNKNOWN
""")
TASK_SOURCES = ["SOURCE_MASTER", "SOURCE_AGENT", "SOURCE_EXECUTOR"]

FACTS = Facts(
    exit_code=None,
    out_of_memory=False,
    memory=1024**3,
    time_limit=0,
    timed_out=False,
    claimed=True,
    exec_errno=0,
    log_errno=0,
    terminated_by=None,
    cancelled_by="",
    program="Rscript",
    environment="R",
    error="",
    log_tail=b"",
)
RECORD = ExitRecord(
    ended=True,
    pid=1,
    pid_start=1,
    boot_id="",
    started_at=1.0,
    ended_at=2.0,
    exit_code=0,
    timed_out=False,
    terminated_by=None,
    exec_errno=0,
    log_errno=0,
    log_dropped=0,
    peak_memory=None,
    peak_rss=None,
    cpu_seconds=None,
    oom_kills=0,
)
STARTED = replace(RECORD, ended=False, ended_at=None, exit_code=None, oom_kills=None)


def told(state: str, reason: str = "", message: str = "", **more: Any) -> dict[str, Any]:
    """A status as the v1 API has it."""
    status: dict[str, Any] = {
        "task_id": {"value": "rcluster-a-1"},
        "agent_id": {"value": "A-1"},
        "state": state,
        "source": "SOURCE_AGENT",
        "timestamp": 1700000000.5,
        "uuid": "c2VjcmV0",
    }
    if reason:
        status["reason"] = reason
    if message:
        status["message"] = message
    return {**status, **more}


def heard(state: str, reason: str = "", message: str = "", **more: Any) -> ContainerStatus:
    status = read(told(state, reason, message, **more))
    assert status is not None
    return status


def ending(status: ContainerStatus, record: ExitRecord | None = None, **facts: Any) -> Ending:
    """As supervision/observing.py makes it of an ENDED status."""
    assert status.life is Life.ENDED
    return conclude(
        replace(
            FACTS,
            exit_code=status.exit_code,
            out_of_memory=status.out_of_memory,
            error=status.error,
            claimed=record is not None,
            exec_errno=record.exec_errno if record else 0,
            terminated_by=record.terminated_by if record else None,
            **facts,
        )
    )


class TestTheWholeEnum:
    def test_every_name_has_its_row_and_none_was_made_up(self) -> None:
        assert sorted(STATES) == sorted(TASK_STATES)
        assert sorted(REASONS) == sorted(TASK_REASONS)
        assert sorted(SOURCES) == sorted(TASK_SOURCES)

    @pytest.mark.parametrize("state", TASK_STATES)
    def test_every_combination_says_something_that_holds_together(self, state: str) -> None:
        for reason, source in product(["", *TASK_REASONS], TASK_SOURCES):
            status = read(told(state, reason, source=source))
            if status is None:
                # Its own status is on its way.
                assert reason == "REASON_RECONCILIATION"
                assert state in ("TASK_FAILED", "TASK_KILLED", "TASK_ERROR")
                continue
            assert (status.handle, status.receipt) == ("rcluster-a-1", "c2VjcmV0")
            if status.life in (Life.GONE, Life.UNREACHABLE):
                assert status.sentence.endswith("."), reason
            if status.life is Life.ENDED:
                assert ending(status).explanation or state == "TASK_FINISHED"
                assert not (status.error and status.exit_code is not None)
            if STATES[state][0] is not Life.ENDED:
                # A reason only tells how a task ended.
                assert status.life is STATES[state][0]

    @pytest.mark.parametrize("state", ["TASK_FAILED", "TASK_KILLED"])
    def test_nothing_is_a_success_that_mesos_did_not_call_one(self, state: str) -> None:
        for reason in ["", *TASK_REASONS]:
            status = read(told(state, reason))
            assert status is None or status.exit_code != 0, reason

    def test_every_reason_that_ends_it_is_explained(self) -> None:
        for reason, row in REASONS.items():
            if row.means not in (Means.AS_TOLD, Means.MEMORY, Means.REPEATED):
                assert row.sentence.endswith("."), reason

    def test_names_of_a_newer_mesos(self) -> None:
        assert read(told("TASK_HIBERNATING")) is None
        status = heard("TASK_FAILED", "REASON_OF_THE_FUTURE", "Container exited with status 3")
        assert status.exit_code == 3


class TestBeforeTheEnd:
    def test_on_its_way(self) -> None:
        for state in ("TASK_STAGING", "TASK_STARTING"):
            assert heard(state).life is Life.STAGING

    def test_running_since(self) -> None:
        assert heard("TASK_RUNNING").started_at == 1700000000.5
        # These tell that it runs and not since when.
        for reason in ("REASON_RECONCILIATION", "REASON_AGENT_REREGISTERED"):
            status = heard("TASK_RUNNING", reason)
            assert (status.life, status.started_at) == (Life.RUNNING, None)
        assert heard("TASK_KILLING").started_at is None
        assert heard("TASK_KILLING").life is Life.RUNNING

    def test_an_answer_needs_no_receipt(self) -> None:
        status = told("TASK_RUNNING", "REASON_RECONCILIATION")
        del status["uuid"]
        found = read(status)
        assert found is not None
        assert found.receipt == ""

    def test_unreachable_since(self) -> None:
        time = {"nanoseconds": 1_700_000_000_000_000_000}
        status = heard("TASK_UNREACHABLE", "REASON_AGENT_REMOVED", unreachable_time=time)
        assert status.life is Life.UNREACHABLE
        assert status.sentence.endswith("since 2023-11-14 22:13 UTC.")
        assert heard("TASK_UNREACHABLE").sentence == "Mesos has no word from its machine."


class TestGone:
    @pytest.mark.parametrize(
        ("state", "reason", "words"),
        [
            ("TASK_DROPPED", "REASON_INVALID_OFFERS", "taken back"),
            ("TASK_DROPPED", "REASON_AGENT_DISCONNECTED", "lost its connection"),
            ("TASK_DROPPED", "", "never reached"),
            ("TASK_LOST", "", "lost"),
            ("TASK_GONE", "REASON_CONTAINER_PREEMPTED", "room"),
            ("TASK_GONE", "REASON_RECONCILIATION", "has it no more"),
            ("TASK_GONE_BY_OPERATOR", "REASON_AGENT_REMOVED_BY_OPERATOR", "administrator"),
            ("TASK_UNKNOWN", "REASON_RECONCILIATION", "knows nothing"),
            ("TASK_KILLED", "REASON_TASK_KILLED_DURING_LAUNCH", "before it had started"),
            ("TASK_KILLED", "REASON_AGENT_DRAINING", "out of service"),
            ("TASK_KILLED", "REASON_FRAMEWORK_REMOVED", "registration"),
            ("TASK_FAILED", "REASON_EXECUTOR_REGISTRATION_TIMEOUT", "still being pulled"),
        ],
    )
    def test_no_word_of_the_end(self, state: str, reason: str, words: str) -> None:
        status = heard(state, reason)
        assert status.life is Life.GONE
        assert words in status.sentence

    def test_unknown_to_a_question_without_a_machine_says_nothing(self) -> None:
        """Mesos says it of a task on an unreachable machine too, and that may well go on."""
        status = told("TASK_UNKNOWN", "REASON_RECONCILIATION")
        del status["agent_id"]
        assert read(status) is None

    @pytest.mark.parametrize(
        ("exit_code", "by", "life"),
        [(143, 15, Life.GONE), (137, 15, Life.GONE), (0, 15, Life.ENDED), (143, None, Life.ENDED)],
    )
    def test_one_that_was_stopped_from_outside_is_lost_unless_it_came_to_its_own_end(
        self, exit_code: int, by: int | None, life: Life
    ) -> None:
        record = replace(RECORD, exit_code=exit_code, terminated_by=by)
        assert with_record(heard("TASK_GONE"), record).life is life

    def test_its_end_had_been_written_down(self) -> None:
        gone = heard("TASK_GONE")
        status = with_record(gone, replace(RECORD, exit_code=3))
        assert ending(status, RECORD).explanation == "Ended with exit status 3."
        assert status.ended_at == 2.0
        assert with_record(gone, STARTED) is with_record(gone, None) is gone


class TestEnded:
    def test_a_success(self) -> None:
        status = heard("TASK_FINISHED", message="Container exited with status 0")
        assert (status.exit_code, status.ended_at) == (0, 1700000000.5)
        assert ending(with_record(status, RECORD), RECORD).state is RunState.SUCCEEDED
        # The master's answer has no message, and none is needed.
        assert heard("TASK_FINISHED", "REASON_RECONCILIATION").exit_code == 0

    @pytest.mark.parametrize(
        ("code", "reason"), [(1, Reason.EXIT_CODE), (139, Reason.KILLED), (143, Reason.KILLED)]
    )
    def test_a_failure_of_its_own(self, code: int, reason: Reason) -> None:
        status = heard("TASK_FAILED", message=f"Container exited with status {code}")
        record = replace(RECORD, exit_code=code)
        assert with_record(status, record).exit_code == code
        assert ending(with_record(status, record), record).reason is reason

    def test_a_kill(self) -> None:
        status = heard("TASK_KILLED", message="Container exited with status 143")
        assert status.exit_code == 143
        cancelled = ending(status, RECORD, cancelled_by="anna")
        assert (cancelled.state, cancelled.reason) == (RunState.CANCELLED, Reason.CANCELLED)

    def test_the_master_repeats_an_end_without_its_exit_status(self) -> None:
        for state in ("TASK_FAILED", "TASK_KILLED"):
            assert read(told(state, "REASON_RECONCILIATION", "Reconciliation: Latest")) is None

    @pytest.mark.parametrize("message", ["Container terminated with signal Killed", "", "nonsense"])
    def test_docker_run_itself_was_killed(self, message: str) -> None:
        status = heard("TASK_FAILED", message=message)
        assert status.exit_code is None
        assert with_record(status, replace(RECORD, exit_code=7)).exit_code == 7
        assert with_record(status, STARTED).exit_code is None
        assert ending(with_record(status, STARTED), STARTED).reason is Reason.KILLED

    @pytest.mark.parametrize(
        "reason", ["REASON_EXECUTOR_TERMINATED", "REASON_EXECUTOR_REREGISTRATION_TIMEOUT"]
    )
    def test_what_watched_over_it_is_gone(self, reason: str) -> None:
        status = heard("TASK_FAILED", reason, "Abnormal executor termination: unknown container")
        assert (status.life, status.exit_code, status.error) == (Life.ENDED, None, "")
        assert status.sentence
        assert ending(with_record(status, STARTED), STARTED).reason is Reason.KILLED
        # It was stopped in good order by the agent, and the runner wrote so.
        record = replace(RECORD, exit_code=143, terminated_by=15)
        assert "SIGTERM" in ending(with_record(status, record), record).explanation

    def test_255_may_be_an_end_that_docker_did_not_see(self) -> None:
        status = heard("TASK_FAILED", message="Container exited with status 255")
        assert with_record(status, replace(RECORD, exit_code=0)).exit_code == 0
        assert with_record(status, replace(RECORD, exit_code=255)).exit_code == 255
        assert with_record(status, STARTED).exit_code is None

    def test_the_record_does_not_overrule_docker(self) -> None:
        status = heard("TASK_FAILED", message="Container exited with status 3")
        assert with_record(status, replace(RECORD, exit_code=0)).exit_code == 3
        finished = heard("TASK_FINISHED")
        assert with_record(finished, replace(RECORD, exit_code=9)).exit_code == 0


class TestMemory:
    def test_the_runner_counted(self) -> None:
        status = heard("TASK_FAILED", message="Container exited with status 137")
        killed = with_record(status, replace(RECORD, exit_code=137, oom_kills=1))
        assert killed.out_of_memory
        assert ending(killed, RECORD).reason is Reason.OUT_OF_MEMORY
        assert not with_record(status, replace(RECORD, exit_code=137)).out_of_memory
        assert not with_record(status, replace(RECORD, oom_kills=None)).out_of_memory

    def test_also_when_only_a_child_was_killed(self) -> None:
        killed = with_record(heard("TASK_FINISHED"), replace(RECORD, oom_kills=2))
        assert "One of its processes was killed" in ending(killed, RECORD).explanation

    def test_mesos_own_word(self) -> None:
        status = heard("TASK_FAILED", "REASON_CONTAINER_LIMITATION_MEMORY", "Memory limit exceeded")
        assert ending(with_record(status, STARTED), STARTED).reason is Reason.OUT_OF_MEMORY


class TestRefused:
    def test_the_description(self) -> None:
        status = heard("TASK_ERROR", "REASON_TASK_INVALID", "Task uses more resources than offered")
        assert ending(status).reason is Reason.LAUNCH_ERROR
        assert "more resources than offered" in ending(status).explanation
        assert "found fault" in heard("TASK_ERROR", "REASON_TASK_INVALID").error
        assert heard("TASK_ERROR", source="SOURCE_MASTER").error == (
            "The Mesos master gave no reason."
        )

    def test_the_options(self) -> None:
        message = "Failed to create docker run options: No network name found in network info"
        assert (
            heard("TASK_FAILED", message=message).error == "No network name found in network info"
        )

    def test_the_launch(self) -> None:
        message = "Failed to launch container: Failed to create sandbox: Permission denied"
        status = heard("TASK_FAILED", "REASON_CONTAINER_LAUNCH_FAILED", message)
        assert status.error == message
        assert ending(status).reason is Reason.LAUNCH_ERROR

    def test_an_image_that_there_is_not(self) -> None:
        message = (
            "Failed to launch container: Failed to run 'docker -H unix:///var/run/docker.sock pull "
            "r.example/x:1': exited with status 1; stderr='Error response from daemon: manifest for "
            "r.example/x:1 not found: manifest unknown: manifest unknown\n'"
        )
        status = heard("TASK_FAILED", "REASON_CONTAINER_LAUNCH_FAILED", message)
        assert status.life is Life.ENDED
        assert status.error.startswith(
            "its image could not be had: Error response from daemon: man"
        )
        assert "docker -H" not in status.error

    def test_a_registry_that_is_away_is_no_refusal(self) -> None:
        message = (
            "Failed to launch container: Failed to run 'docker -H unix:///var/run/docker.sock pull "
            "r.example/x:1': exited with status 1; stderr='Error response from daemon: Get "
            '"https://r.example/v2/": dial tcp 10.0.0.9:443: connect: connection refused\n\''
        )
        status = heard("TASK_FAILED", "REASON_CONTAINER_LAUNCH_FAILED", message)
        assert status.life is Life.GONE
        assert "could not pull its image" in status.sentence
        assert "connection refused" in status.sentence


class TestDockerRunOwnStatuses:
    STDERR = (
        "I1122 17:42:01.1 executor.cpp:190] Starting task rcluster-a-1\n"
        "docker: Error response from daemon: invalid mount config for type \"bind\": "
        "bind source path does not exist: /srv/x.\nSee 'docker run --help'.\n"
    )  # fmt: skip

    def test_125_of_a_runner_without_a_permit(self) -> None:
        status = heard("TASK_FAILED", message="Container exited with status 125")
        assert may_be_refusal(status, None)
        assert with_refusal(status, "rcluster-run: no permit to start: ENOENT\n") == status
        assert with_record(status, None).exit_code == 125  # observing: it never started

    def test_125_of_docker(self) -> None:
        status = heard("TASK_FAILED", message="Container exited with status 125")
        refused = with_record(with_refusal(status, self.STDERR), None)
        assert refused.exit_code is None
        assert refused.error.endswith("bind source path does not exist: /srv/x.")
        assert ending(refused).reason is Reason.LAUNCH_ERROR

    @pytest.mark.parametrize("code", [126, 127])
    def test_docker_could_not_execute_the_runner(self, code: int) -> None:
        status = heard("TASK_FAILED", message=f"Container exited with status {code}")
        assert may_be_refusal(status, None)
        refused = with_record(status, None)
        assert str(code) in refused.error
        assert ending(refused).reason is Reason.LAUNCH_ERROR

    @pytest.mark.parametrize("code", [125, 126, 127])
    def test_the_same_from_a_command(self, code: int) -> None:
        status = heard("TASK_FAILED", message=f"Container exited with status {code}")
        record = replace(RECORD, exit_code=code, exec_errno=2 if code == 127 else 0)
        assert not may_be_refusal(status, record)
        assert with_record(status, record) == status
        wanted = Reason.COMMAND_NOT_FOUND if code == 127 else Reason.EXIT_CODE
        assert ending(with_record(status, record), record).reason is wanted

    def test_docker_lost_sight_of_one_that_runs(self) -> None:
        """Its engine was restarted: the client's 125 is not the command's."""
        status = heard("TASK_FAILED", message="Container exited with status 125")
        assert not may_be_refusal(status, STARTED)
        assert with_record(status, STARTED).exit_code is None
        record = replace(RECORD, exit_code=143, terminated_by=15)
        assert with_record(status, record).exit_code == 143

    def test_words_without_end_are_cut(self) -> None:
        status = heard("TASK_FAILED", message="Container exited with status 125")
        said = with_refusal(status, "docker: " + "x" * 100_000).error
        assert len(said) == mesos_status._LONGEST
        assert said.endswith("…")


def test_the_record_is_read_only_where_it_counts() -> None:
    assert is_settled_by_record(heard("TASK_FINISHED"))
    assert is_settled_by_record(heard("TASK_GONE"))
    for status in (heard("TASK_RUNNING"), heard("TASK_UNREACHABLE"), heard("TASK_ERROR")):
        assert not is_settled_by_record(status)
        assert with_record(status, replace(RECORD, oom_kills=1)) == status


def test_one_whose_executor_was_killed_may_go_on_for_a_while() -> None:
    """The agent says that it ended, and removes its container only later."""
    status = heard(
        "TASK_FAILED", reason="REASON_EXECUTOR_TERMINATED", message="Executor terminated"
    )
    assert status.ended_at is not None
    soon, later = status.ended_at + 5, status.ended_at + mesos_status.UNWATCHED + 1
    waits = while_unwatched(with_record(status, STARTED), STARTED, soon)
    assert (waits.life, waits.receipt) == (Life.UNREACHABLE, "")
    assert while_unwatched(status, STARTED, later) == status
    # It came to its own end, or was never begun: nothing more is to be waited for.
    ended = with_record(status, RECORD)
    assert ended.exit_code is not None
    assert while_unwatched(ended, RECORD, soon) == ended
    assert while_unwatched(status, None, soon) == status
    told = heard("TASK_FAILED", message="Container exited with status 137")
    assert while_unwatched(told, STARTED, soon) == told
