"""Settings that cannot work are refused with a sentence; children learn only what they need."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.portal import homes, packages, ports
from deploy.portal.place import Place
from deploy.portal.problem import Problem
from deploy.portal.progress import Progress
from files import marker
from rcluster_site.env import SettingError

MakePlace = Callable[..., Place]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has an account of its own made")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"RCLUSTER_PORT": "eighty"}, "RCLUSTER_PORT"),
        ({"RCLUSTER_PORT": "70000"}, "RCLUSTER_PORT"),
        ({"RCLUSTER_BACKEND": "slurm"}, "RCLUSTER_BACKEND"),
        ({"RCLUSTER_HTTPS": "perhaps"}, "RCLUSTER_HTTPS"),
        ({"RCLUSTER_PROXY": "*"}, "RCLUSTER_PROXY has '\\*'"),
        ({"RCLUSTER_PROXY": "127.0.0.1,proxy.example.org"}, "addresses or networks"),
        ({"RCLUSTER_HOME": "/tmp/" + "x" * 100}, "too long for Unix sockets"),
        ({"RCLUSTER_HOME": '/tmp/a"b'}, "without quotes"),
        ({"RCLUSTER_HOME": "/tmp/100%"}, "without quotes"),
    ],
)
def test_impossible_settings(make_place: MakePlace, settings: dict[str, str], words: str) -> None:
    with pytest.raises((Problem, SettingError), match=words):
        make_place(**settings).check()


def test_relative_folders_are_meant_from_where_the_person_stands() -> None:
    place = Place.of({"RCLUSTER_HOME": "here", "RCLUSTER_CWD": "/somewhere"})
    assert place.home == Path("/somewhere/here")


def test_children_get_settings_and_proxies_but_not_the_rest(make_place: MakePlace) -> None:
    place = make_place(
        HTTPS_PROXY="http://proxy:3128", AWS_SECRET_ACCESS_KEY="s3cret", RCLUSTER_CPUS="2"
    )
    found = place.environment(process="web")
    assert found["HTTPS_PROXY"] == "http://proxy:3128"
    assert found["RCLUSTER_CPUS"] == "2"
    assert found["RCLUSTER_PROCESS"] == "web"
    assert found["HOME"] == str(place.home)
    assert "AWS_SECRET_ACCESS_KEY" not in found


def test_the_address_is_the_first_name_that_can_be_typed(make_place: MakePlace) -> None:
    place = make_place(RCLUSTER_HOSTS=".example.org, r.example.org", RCLUSTER_PORT="8080")
    assert place.url == "http://r.example.org:8080"
    assert make_place(RCLUSTER_HOSTS="r.example.org", RCLUSTER_HTTPS="1").url == (
        "https://r.example.org"
    )


def test_a_home_is_made_private_and_repaired(make_place: MakePlace) -> None:
    place = make_place()
    homes.ensure_account(place)
    homes.ensure(place)
    key = (place.home / "secret-key").read_text()
    assert len(key.strip()) > 40
    (place.home / "secret-key").chmod(0o644)
    place.run.chmod(0o777)
    place.logs.rmdir()
    homes.ensure(place)
    assert (place.home / "secret-key").read_text() == key
    assert (place.home / "secret-key").stat().st_mode & 0o777 == 0o600
    assert place.run.stat().st_mode & 0o777 == 0o700
    assert place.logs.is_dir()


def test_an_empty_key_of_a_half_finished_set_up_is_made_anew(make_place: MakePlace) -> None:
    place = make_place()
    homes.ensure(place)
    (place.home / "secret-key").write_text("")
    homes.ensure(place)
    assert (place.home / "secret-key").stat().st_size > 40


@as_root
def test_the_ordinary_user_owns_what_it_needs_and_cannot_replace_what_root_runs(
    make_place: MakePlace,
) -> None:
    place = make_place()
    homes.ensure(place)
    owner = place.owner
    assert place.run.stat().st_uid == owner.uid
    assert (place.home / "secret-key").stat().st_uid == owner.uid
    assert place.control.stat().st_uid == 0
    swap = place.python_run(["-c", f"import os; os.rename({str(place.control)!r}, 'x')"])
    assert "PermissionError" in swap.stderr
    made = place.python_run(["-c", f"open({str(place.home / 'db.sqlite3')!r}, 'w')"])
    assert made.returncode == 0, made.stderr


def test_commands_learn_who_gave_them(make_place: MakePlace) -> None:
    say = ["-c", "import os; print(os.environ['SUDO_USER'])"]
    place = make_place()
    homes.ensure(place)
    assert place.python_run(say).stdout.strip() == place.us.name
    by_anna = replace(place, variables={**place.variables, "SUDO_USER": "anna"})
    assert by_anna.python_run(say).stdout.strip() == "anna"
    assert "SUDO_USER" not in by_anna.environment()


@as_root
def test_a_home_that_the_ordinary_user_cannot_enter_is_refused(
    make_place: MakePlace, folder: Path
) -> None:
    folder.chmod(0o700)
    with pytest.raises(Problem, match="cannot be read by the user"):
        homes.ensure(make_place())


@as_root
def test_scripts_never_run_as_root(make_place: MakePlace) -> None:
    with pytest.raises(Problem, match="ordinary user"):
        _ = make_place(RCLUSTER_USER="root").owner


def test_storage_that_is_not_mounted_is_not_made_up(make_place: MakePlace, folder: Path) -> None:
    with pytest.raises(Problem, match="no such folder"):
        homes.ensure(make_place(RCLUSTER_STORAGE=str(folder / "nfs")))


def test_another_folder_in_the_place_of_the_storage_is_refused(
    make_place: MakePlace, folder: Path
) -> None:
    storage = folder / "nfs"
    storage.mkdir()
    place = make_place(RCLUSTER_STORAGE=str(storage))
    homes.ensure_account(place)
    os.chown(storage, place.owner.uid, place.owner.gid)
    homes.ensure(place)
    mark = storage / marker.NAME
    assert mark.stat().st_uid == place.owner.uid
    homes.ensure(place)
    mark.unlink()  # as after umount
    with pytest.raises(Problem, match="mount that one"):
        homes.ensure(place)
    assert not mark.exists()
    other = folder / "other"
    other.mkdir()
    os.chown(other, place.owner.uid, place.owner.gid)
    homes.ensure(make_place(RCLUSTER_STORAGE=str(other)))
    assert (other / marker.NAME).exists()


def test_a_full_disk_is_told_before_anything_is_built(
    make_place: MakePlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(homes, "LEAST_SPACE", 2**63)
    with pytest.raises(Problem, match="are free in"):
        homes.ensure(make_place())


def test_a_taken_port_comes_with_the_name_of_its_holder(make_place: MakePlace) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen(1)
        port = other.getsockname()[1]
        with pytest.raises(Problem, match=rf"Port {port} is taken by .*process {os.getpid()}"):
            ports.check_free(make_place(RCLUSTER_PORT=str(port)))
    ports.check_free(make_place(RCLUSTER_PORT=str(port)))


def test_an_address_of_another_machine_is_refused(make_place: MakePlace) -> None:
    with pytest.raises(Problem, match="RCLUSTER_BIND"):
        ports.check_free(make_place(RCLUSTER_BIND="192.0.2.1"))


def test_missing_packages_come_as_one_line_for_those_who_may_not_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(packages, "is_there", lambda package: package == "make")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(Problem, match=r"apt-get install --no-install-recommends gcc libc6-dev$"):
        packages.ensure(packages.BUILD, progress=Progress(), purpose="Building")


def test_nothing_is_installed_when_all_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "is_there", lambda package: True)
    monkeypatch.setattr(packages, "_apt", None)
    packages.ensure(packages.BUILD, progress=Progress(), purpose="Building")
