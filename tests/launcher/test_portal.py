"""A real portal is set up, loses its processes one by one, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from deploy.portal import password, status, supervisor, tokens
from deploy.portal import portal as launcher
from deploy.portal.place import Place
from deploy.portal.problem import Problem
from tests.portal import Portal, start_portal
from tests.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.local, pytest.mark.timeout(300)]
NAMES = ("valkey", "web", "backend", "worker", "beat")


@pytest.fixture(scope="module")
def own() -> Iterator[Portal]:
    """Not the session's portal, because these tests are rough with it."""
    started = start_portal(backend="local")
    yield started
    started.stop()
    assert not started.home.exists()


def _processes_of(home: Path) -> list[int]:
    """Every process that was started for this portal, whoever its parent is now."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                variables = (entry / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            if f"RCLUSTER_PORTAL={home}".encode() in variables:
                found.append(int(entry.name))
    return found


def test_all_processes_run_and_status_says_so(
    own: Portal, capsys: pytest.CaptureFixture[str]
) -> None:
    until(
        lambda: all(s.state == "RUNNING" for s in supervisor.states(own.place)),
        "all processes to be RUNNING",
    )
    assert status.show(own.place) == 0
    shown = capsys.readouterr().out
    for name in NAMES:
        assert name in shown
    assert own.url in shown
    assert "0 running, 0 waiting" in shown


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can drop to another user")
def test_only_the_backend_worker_is_root(own: Portal) -> None:
    for name in NAMES:
        uid = Path(f"/proc/{own.process_pid(name)}").stat().st_uid
        assert uid == (0 if name == "backend" else own.place.owner.uid), name


@pytest.mark.parametrize("name", NAMES)
def test_what_is_killed_comes_back(own: Portal, name: str) -> None:
    old = own.kill(name)
    assert own.wait_restarted(name, old) != old
    own.wait_ready()


def test_up_again_changes_nothing(own: Portal) -> None:
    before = {name: own.process_pid(name) for name in NAMES}
    again = launcher.up(own.place)
    assert again.was_running
    assert again.password == ""
    assert {name: own.process_pid(name) for name in NAMES} == before


def test_a_changed_setting_restarts(own: Portal) -> None:
    before = own.process_pid("web")
    changed = Place.of({**own.place.variables, "RCLUSTER_TIME_ZONE": "Europe/Berlin"})
    assert not launcher.up(changed).was_running
    assert own.process_pid("web") != before
    launcher.up(own.place)


def test_a_shell_without_its_settings_tells_the_same_of_it(
    own: Portal, capsys: pytest.CaptureFixture[str]
) -> None:
    launcher.up(Place.of({**own.place.variables, "RCLUSTER_HOSTS": "r.example.org"}))
    kept = ("PATH", "RCLUSTER_HOME", "RCLUSTER_USER")
    bare = Place.of({k: v for k, v in own.place.variables.items() if k in kept})
    assert status.show(bare) == 0
    assert password.link(bare, "dora", administrator=True) == 0
    shown = capsys.readouterr().out
    assert f"Portal     http://r.example.org:{own.place.port}/  (ready)" in shown
    assert f"\nhttp://r.example.org:{own.place.port}/account/choose/" in shown
    launcher.up(own.place)


def test_another_clone_keeps_its_hands_off(own: Portal, tmp_path: Path) -> None:
    stranger = Place.of(own.place.variables, clone=tmp_path)
    with pytest.raises(Problem, match=f"started from {own.place.clone}"):
        launcher.up(stranger)


def test_a_second_portal_on_the_port_learns_whose_it_is(
    own: Portal, make_place: Callable[..., Place]
) -> None:
    second = make_place(RCLUSTER_PORT=str(own.place.port), RCLUSTER_BACKEND="local")
    with pytest.raises(Problem, match=f"taken by the portal of {own.home}"):
        launcher.up(second)


def test_a_killed_supervisor_is_cleared_up_and_replaced(own: Portal) -> None:
    orphans = [own.process_pid(name) for name in NAMES]
    os.kill(supervisor.supervisor_pid(own.place), signal.SIGKILL)
    until(lambda: not supervisor.is_running(own.place), "supervisord to be gone")
    assert not launcher.up(own.place).was_running
    own.wait_ready()
    for pid in orphans:
        assert not supervisor.is_alive(pid)


def test_the_first_login_works_and_is_private(own: Portal) -> None:
    text = own.place.first_login.read_text()
    assert own.username in text
    assert own.password in text
    assert own.place.first_login.stat().st_mode & 0o777 == 0o600
    check = (
        "import django; django.setup()\n"
        "from django.contrib.auth import authenticate\n"
        f"assert authenticate(username={own.username!r}, password={own.password!r})"
    )
    done = own.place.python_run(["-c", check])
    assert done.returncode == 0, done.stderr


def test_a_token_is_all_that_is_printed(own: Portal, capfd: pytest.CaptureFixture[str]) -> None:
    words = {"name": "nightly", "days": "1", "scopes": "read"}
    assert tokens.make(own.place, own.username, **words) == 0
    token = capfd.readouterr().out
    sign_in = {"Authorization": f"Bearer {token.strip()}"}
    told = requests.get(f"{own.url}/api/v1/me", headers=sign_in, timeout=10)
    assert told.json()["username"] == own.username
    with pytest.raises(Problem, match=f"{own.username} has a token named nightly already"):
        tokens.make(own.place, own.username, **words)


def test_down_leaves_no_process_and_up_finds_everything_again(own: Portal) -> None:
    assert _processes_of(own.home)
    assert launcher.down(own.place)
    assert _processes_of(own.home) == []
    assert not launcher.down(own.place)
    assert status.show(own.place) == 3
    assert launcher.up(own.place).password == ""
    own.wait_ready()
