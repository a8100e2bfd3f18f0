"""`./rcluster mesos-lab`: a real Mesos on this machine to try things on and to develop against."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from deploy.mesos.lab import Lab
from deploy.mesos.lab.options import AGENTS, MASTER, PORT
from deploy.portal.place import Place
from deploy.portal.problem import Problem, Usage
from deploy.portal.progress import Progress

WORDS = ("up", "down", "kill", "status")


def up(place: Place, *, agents: str = "", port: str = "") -> int:
    """What is not said is as at the last `up`."""
    folder, progress = _folder(place), Progress()
    before = Lab.stored(folder)
    wanted_port = _number("--port", port) or _setting(place)
    lab = Lab(
        folder,
        wanted_port or (before.port if before else PORT),
        agents=_number("--agents", agents, most=100) or (len(before.agents) if before else AGENTS),
        progress=progress,
    )
    ran = all(lab.pid(name) is not None for name in lab.names)
    lab.up()
    setting = "" if lab.port == PORT else f"RCLUSTER_MESOS_MASTER={lab.master} "
    progress.say(
        f"The Mesos lab {'runs already' if ran else 'runs'}: "
        f"master {lab.master}, {', '.join(lab.agents)}."
    )
    progress.say(f"A portal on it:  {setting}./rcluster up --backend mesos")
    return 0


def down(place: Place) -> int:
    lab = Lab.stored(_folder(place))
    ran = lab is not None and any(lab.pid(name) is not None for name in lab.names)
    if lab is not None:
        # Also when nothing ran: tasks of killed agents may still be there.
        lab.down()
    Progress().say("The Mesos lab is stopped." if ran else "No Mesos lab runs.")
    return 0


def kill(place: Place, name: str) -> int:
    """kill -9; `up` brings it back with its old state."""
    lab = _lab(place)
    pid = lab.pid(name) if name in lab.names else None
    if pid is None and name in lab.names:
        raise Problem(f"{name} does not run: ./rcluster mesos-lab up starts it.")
    lab.kill(name)
    Progress().say(f"{name} (process {pid}) is killed; ./rcluster mesos-lab up brings it back.")
    return 0


def status(place: Place) -> int:
    """0 only if every part runs and every agent is registered."""
    lab, progress = _lab(place), Progress()
    try:
        slaves = lab.state("/slaves")["slaves"]
        tasks = lab.state("/tasks?limit=100000")["tasks"]
    except OSError:
        slaves, tasks = [], []
    ports = {each["port"]: each for each in slaves if each["active"]}
    running = Counter(each["slave_id"] for each in tasks if each["state"] == "TASK_RUNNING")
    well = True
    for name in lab.names:
        pid = lab.pid(name)
        if name == MASTER:
            address, word = lab.master, "leads" if slaves else "has no agents, or does not answer"
            well &= bool(slaves)
        else:
            address = lab.agent_address(name)
            row = ports.get(int(address.rpartition(":")[2]))
            word = f"registered, {running[row['id']]} tasks run" if row else "not registered"
            well &= row is not None
        if pid is None:
            word, well = "does not run", False
        progress.say(f"  {name:8} {address:16} {f'process {pid}' if pid else '-':16} {word}")
    return 0 if well else 1


def _folder(place: Place) -> Path:
    return place.home / "mesos-lab"


def _lab(place: Place) -> Lab:
    lab = Lab.stored(_folder(place))
    if lab is None:
        raise Problem("There is no Mesos lab yet: ./rcluster mesos-lab up makes one.")
    return lab


def _setting(place: Place) -> int:
    name = "RCLUSTER_MESOS_LAB_PORT"
    return _number(name, place.variables.get(name, ""))


def _number(name: str, text: str, *, most: int = 65000) -> int:
    """0 when nothing was given."""
    if not text:
        return 0
    if not text.isdecimal() or not 0 < int(text) <= most:
        raise Usage(f"{name} is “{text}”: give a whole number from 1 to {most}.")
    return int(text)
