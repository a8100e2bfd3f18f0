"""The command line: what is not there yet says so, what is wrong is named, exit status 2."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from deploy.portal.__main__ import main
from deploy.portal.results import Result, table

CLONE = Path(__file__).parent.parent.parent


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["fly"], "no command “fly”"),
        (["test", "everything"], "choose fast, browser"),
        (["up", "--backend"], "needs a value"),
        (["up", "--backend", "slurm"], "no backend “slurm”"),
        (["down", "--now"], "does not know “--now”"),
        (["password", "--all"], "does not know “--all”"),
        (["password", "anna", "bert"], "does not know “bert”"),
        (["password", "--administrator"], "needs the name"),
        (["token", "anna"], "needs whose it is and a name"),
        (["token", "--name", "nightly"], "needs whose it is and a name"),
        (["token", "anna", "--name"], "--name needs a value"),
        (["token", "anna", "bert", "--name", "nightly"], "does not know “bert”"),
        (["mesos-lab"], "needs one of up, down, kill, status"),
        (["mesos-lab", "kill"], "needs a name"),
        (["mesos-lab", "up", "--agents", "x"], "give a whole number from 1 to 100"),
        (["bench", "nothing-like-it"], "no benchmark “nothing-like-it”"),
    ],
)
def test_wrong_words(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert said in capsys.readouterr().err


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["help"]) == 0
    shown = capsys.readouterr().out
    for word in ("demo", "up", "down", "status", "password", "token", "test", "lint", "bench"):
        assert f"./rcluster {word}" in shown


def test_the_script_finds_its_folder_through_links(tmp_path: Path) -> None:
    link = tmp_path / "rc"
    link.symlink_to(CLONE / "rcluster")
    done = subprocess.run(
        ["bash", "-n", str(link)], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr


def test_a_stage_without_any_test_has_failed(tmp_path: Path) -> None:
    junit = tmp_path / "junit.xml"
    junit.write_text('<testsuites><testsuite tests="2" skipped="2"/></testsuites>')
    result = Result("stage", ok=True, seconds=1.0).with_counts(junit)
    assert (result.ok, result.note) == (False, "no test ran")
    assert not Result("stage", ok=True, seconds=1.0).with_counts(tmp_path / "none").ok


def test_the_summary_ends_with_a_line_for_machines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    junit = tmp_path / "junit.xml"
    junit.write_text(
        '<testsuites><testsuite tests="9" failures="1" errors="1" skipped="3"/></testsuites>'
    )
    table([Result("lint", ok=True, seconds=1), Result("x", ok=False, seconds=1).with_counts(junit)])
    assert capsys.readouterr().out.splitlines()[-1] == "5 passed, 2 failed, 3 skipped"
