"""The words of ./rcluster."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence

from deploy.portal.place import Place
from deploy.portal.problem import Problem, Usage
from deploy.portal.progress import Progress
from rcluster_site.env import SettingError

HELP = """\
R-Cluster: a team's web portal for running R on a pool of machines.

  ./rcluster demo [--once]          set everything up, start the portal, run a sample script and
                                    show what it prints; --once stops everything afterwards
  ./rcluster up [--backend NAME]    set up what is due and start the portal; NAME is docker, local,
                                    mesos or auto
  ./rcluster down                   stop the portal; Runs go on
  ./rcluster status                 processes, address, Runs; exit status 0 only if all is well
  ./rcluster password [USER] [--administrator]
                                    a link to choose a new password, for who is locked out; no USER:
                                    the first administrator; with the word, USER is made one first
  ./rcluster token USER --name N [--days D] [--scopes read,run,...]
                                    print a token for the API, and nothing else

  ./rcluster test [WHAT]            fast | all | browser | chaos | mesos | nfs   (no word: all)
                                    chaos [--seconds N] [--seed N] [--backend NAME]
  ./rcluster mesos-lab up [--agents N] [--port N] | down | kill master|agentN | status
                                    a real Mesos on this machine, for developers
  ./rcluster lint                   what is checked without running anything
  ./rcluster bench [NAME [its own options]] [--json FILE]
  ./rcluster help

Settings are environment variables: docs/admin/settings.md. RCLUSTER_HOME says where the portal
lives, RCLUSTER_PORT where it listens.
"""


def _demo(arguments: list[str]) -> int:
    from deploy.portal import demo

    once = _flag(arguments, "--once")
    _nothing_left("demo", arguments)
    return demo.run(_place(), once=once)


def _up(arguments: list[str]) -> int:
    from deploy.portal import portal

    backend = _option(arguments, "--backend") or "auto"
    _nothing_left("up", arguments)
    if backend not in {"auto", "docker", "local", "mesos"}:
        raise Usage(f"There is no backend “{backend}”: choose docker, local, mesos or auto.")
    place = _place()
    progress = Progress()
    found = portal.up(place, backend=backend, progress=progress)
    verb = "runs already" if found.was_running else "runs"
    progress.say(f"The portal {verb}: {place.url}/  (backend {found.site.backend})")
    if found.password:
        progress.say(f"First login: user {found.site.username}, password {found.password}")
        progress.say(f"             (kept in {place.first_login}; change it on your account page)")
    return 0


def _down(arguments: list[str]) -> int:
    from deploy.portal import facts, portal

    _nothing_left("down", arguments)
    place = _place()
    counts = facts.ask(place) if portal.record(place) is not None else None
    progress = Progress()
    if not portal.down(place):
        progress.say(f"No portal runs from {place.home}.")
        return 0
    progress.say(f"The portal of {place.home} is stopped.")
    if counts is not None and counts.running:
        progress.say(
            f"Runs that go on without it: {counts.running}. `./rcluster up` finds them again."
        )
    if counts is not None and counts.waiting:
        progress.say(f"Runs that wait until it is up again: {counts.waiting}.")
    return 0


def _status(arguments: list[str]) -> int:
    from deploy.portal import status

    _nothing_left("status", arguments)
    return status.show(_place())


def _password(arguments: list[str]) -> int:
    from deploy.portal import password

    administrator = _flag(arguments, "--administrator")
    username = arguments.pop(0) if arguments else ""
    _nothing_left("password", arguments if not username.startswith("-") else [username])
    if administrator and not username:
        raise Usage("./rcluster password --administrator needs the name of a person.")
    return password.link(_place(), username, administrator=administrator)


def _token(arguments: list[str]) -> int:
    from deploy.portal import tokens

    name, days, scopes = (_option(arguments, each) for each in ("--name", "--days", "--scopes"))
    username = arguments.pop(0) if arguments and not arguments[0].startswith("-") else ""
    _nothing_left("token", arguments)
    if not username or not name:
        raise Usage("./rcluster token needs whose it is and a name: ./rcluster token USER --name N")
    return tokens.make(_place(), username, name=name, days=days, scopes=scopes)


def _test(arguments: list[str]) -> int:
    from deploy.portal import tests

    given = {name: _option(arguments, name) for name in tests.CHAOS_OPTIONS}
    what = arguments.pop(0) if arguments else "all"
    _nothing_left("test", arguments)
    return tests.run(_place(), what, {name: value for name, value in given.items() if value})


def _mesos_lab(arguments: list[str]) -> int:
    from deploy.portal import mesos_lab

    word = arguments.pop(0) if arguments else ""
    if word not in mesos_lab.WORDS:
        raise Usage(f"./rcluster mesos-lab needs one of {', '.join(mesos_lab.WORDS)}.")
    if word == "up":
        agents, port = _option(arguments, "--agents"), _option(arguments, "--port")
        _nothing_left("mesos-lab up", arguments)
        return mesos_lab.up(_place(), agents=agents, port=port)
    if word == "kill":
        if not arguments:
            raise Usage("./rcluster mesos-lab kill needs a name: master, agent1, ...")
        name = arguments.pop(0)
        _nothing_left("mesos-lab kill", arguments)
        return mesos_lab.kill(_place(), name)
    _nothing_left(f"mesos-lab {word}", arguments)
    return mesos_lab.down(_place()) if word == "down" else mesos_lab.status(_place())


def _lint(arguments: list[str]) -> int:
    from deploy.portal import lint

    _nothing_left("lint", arguments)
    return lint.run(_place())


def _bench(arguments: list[str]) -> int:
    from deploy.portal import bench

    json_file = _option(arguments, "--json")
    name = arguments.pop(0) if arguments else ""
    if name.startswith("-"):
        _nothing_left("bench", [name])
    return bench.run(_place(), name=name, json_file=json_file, options=arguments)


def _help(arguments: list[str]) -> int:
    sys.stdout.write(HELP)
    return 0


COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "demo": _demo,
    "up": _up,
    "down": _down,
    "status": _status,
    "password": _password,
    "token": _token,
    "test": _test,
    "mesos-lab": _mesos_lab,
    "lint": _lint,
    "bench": _bench,
    "help": _help,
    "--help": _help,
    "-h": _help,
}


def main(words: Sequence[str]) -> int:
    if not words:
        sys.stdout.write(HELP)
        return 2
    command = COMMANDS.get(words[0])
    try:
        if command is None:
            raise Usage(f"There is no command “{words[0]}”. ./rcluster help lists them.")
        return command(list(words[1:]))
    except Usage as problem:
        return _tell(problem, 2)
    except (Problem, SettingError) as problem:
        return _tell(problem, 1)
    except PermissionError as error:
        return _tell(f"{error.filename}: permission denied. Another user owns it.", 1)
    except BrokenPipeError:
        # `./rcluster status | head`: nobody listens any more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return _tell("interrupted", 128 + signal.SIGINT)


def _place() -> Place:
    return Place.of(os.environ)


def _tell(problem: object, status: int) -> int:
    sys.stdout.flush()
    sys.stderr.write(f"rcluster: {problem}\n")
    return status


def _flag(arguments: list[str], name: str) -> bool:
    if name in arguments:
        arguments.remove(name)
        return True
    return False


def _option(arguments: list[str], name: str) -> str:
    """The value of `--name VALUE` or `--name=VALUE`, taken out of the arguments."""
    for index, word in enumerate(arguments):
        if word.startswith(f"{name}="):
            del arguments[index]
            return word.partition("=")[2]
        if word == name:
            if index + 1 == len(arguments):
                raise Usage(f"{name} needs a value.")
            value = arguments[index + 1]
            del arguments[index : index + 2]
            return value
    return ""


def _nothing_left(command: str, arguments: list[str]) -> None:
    if arguments:
        raise Usage(f"./rcluster {command} does not know “{arguments[0]}”. See ./rcluster help.")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
