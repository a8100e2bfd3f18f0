"""What is said where Node.js is missing or too old, before anything is installed in vain."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.portal import builds
from deploy.portal.problem import Problem

OLD = "Installed: (none)\n  Candidate: 18.20.4+dfsg-1~deb12u1"


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def program(folder: Path, name: str, answer: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\necho '{answer}'\n")
    (folder / name).chmod(0o755)


@pytest.mark.parametrize("version", ["v18.20.4", "v20.18.3"])
def test_an_old_node_is_refused_with_what_to_do(programs: Path, version: str) -> None:
    program(programs, "node", version)
    with pytest.raises(Problem, match=rf"Node.js is {version}: get 20.19 or newer .*NodeSource"):
        builds._check_node()


@pytest.mark.parametrize("version", ["v20.19.0", "v22.3.1", "v24.0.0"])
def test_a_newer_one_is_taken(programs: Path, version: str) -> None:
    program(programs, "node", version)
    builds._check_node()


def test_a_missing_one_is_not_sought_where_only_an_old_one_is_offered(programs: Path) -> None:
    program(programs, "apt-cache", f"nodejs:\n  {OLD}")
    with pytest.raises(Problem, match=r"missing, and apt-get has 18\.20.*NodeSource"):
        builds._check_offered_node()
    with pytest.raises(Problem, match=r"Node.js is missing: get 20.19"):
        builds._check_node()


@pytest.mark.parametrize(
    "answer", ["nodejs:\n  Candidate: 20.19.2+dfsg-1", "", "nodejs:\n  Candidate: (none)"]
)
def test_what_is_new_enough_or_not_known_is_left_to_apt_get(programs: Path, answer: str) -> None:
    program(programs, "apt-cache", answer)
    builds._check_offered_node()
