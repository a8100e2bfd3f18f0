"""A set-up step is repeated exactly when what it was made from changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.portal.problem import Problem
from deploy.portal.progress import Progress, excerpt
from deploy.portal.stamps import Stamp, digest, files_below


def test_a_digest_changes_with_content_name_presence_and_extras(tmp_path: Path) -> None:
    one = tmp_path / "one"
    one.write_text("a")
    first = digest([one], "x")
    assert digest([one], "x") == first
    assert digest([one], "y") != first
    one.write_text("b")
    assert digest([one], "x") != first
    one.write_text("a")
    assert digest([one, tmp_path / "two"], "x") != first
    one.rename(tmp_path / "two")
    assert digest([tmp_path / "two"], "x") != first


def test_files_below_leaves_out_what_is_generated(tmp_path: Path) -> None:
    for name in ("src/main.ts", "node_modules/x/y.js", "dist/a.js", "src/__pycache__/z.pyc"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    found = files_below(tmp_path, without=frozenset({"node_modules", "dist"}))
    assert found == [tmp_path / "src/main.ts"]


def test_a_stamp_is_current_only_for_the_inputs_it_was_written_for(tmp_path: Path) -> None:
    path = tmp_path / "stamps" / "step"
    assert not Stamp(path, "one").current
    Stamp(path, "one").write()
    assert Stamp(path, "one").current
    assert not Stamp(path, "two").current
    Stamp(path, "two").clear()
    assert not Stamp(path, "one").current


def test_a_step_that_was_interrupted_is_done_again(tmp_path: Path) -> None:
    stamp = Stamp(tmp_path / "step", "inputs")
    stamp.write()
    stamp.clear()  # the step began
    assert not Stamp(tmp_path / "step", "inputs").current  # and never came to write()


def test_the_log_of_tools_grows_and_failures_quote_only_the_failed_one(tmp_path: Path) -> None:

    progress = Progress(tmp_path / "setup.log")
    progress.command(["sh", "-c", "echo earlier"], cwd=tmp_path)
    with pytest.raises(Problem) as caught:
        progress.command(["sh", "-c", "echo the cause; exit 3"], cwd=tmp_path)
    assert "exit 3" in str(caught.value)
    assert "the cause" in str(caught.value)
    assert "earlier" not in str(caught.value)
    assert "earlier" in (tmp_path / "setup.log").read_text()


def test_a_tool_that_is_missing_is_named(tmp_path: Path) -> None:

    with pytest.raises(Problem, match="no-such-tool is missing"):
        Progress().command(["no-such-tool"], cwd=tmp_path)


def test_an_excerpt_keeps_both_ends() -> None:
    shown = excerpt("\n".join(f"line {n}" for n in range(100)))
    assert "line 0\n" in shown
    assert shown.endswith("line 99")
    assert "(83 lines)" in shown
