"""`./rcluster status`: one table, and an exit status that a script can use."""

from __future__ import annotations

import time
from pathlib import Path

from deploy.portal import facts, portal, site, supervisor
from deploy.portal.place import Place
from deploy.portal.problem import Problem


def show(place: Place) -> int:
    """0 only if every process runs and /readyz answers 200."""
    if not _may_look(place.control):
        raise Problem(f"{place.home} is another user's: ask as root, or set RCLUSTER_HOME.")
    running = portal.record(place)
    states = supervisor.states(place)
    if not states:
        _say(f"No portal runs from {place.home}. Start it: ./rcluster up")
        return 3
    ready = running is not None and portal.is_ready(running.probe, running.host_name)
    for state in states:
        uptime = _span(time.time() - state.since) if state.state == "RUNNING" else ""
        pid = str(state.pid) if state.pid else ""
        _say(f"{state.name:<10}{state.state.lower():<12}{pid:>8}  {uptime}".rstrip())
    known = site.stored(place)
    counts = facts.ask(place)
    _say("")
    if running is not None:
        _say(f"Portal     {running.url}/  ({'ready' if ready else 'NOT ready'})")
    if known is not None:
        _say(f"Backend    {known.backend}")
    if counts is None:
        _say("Runs       unknown: the database does not answer")
    else:
        _say(f"Runs       {counts.running} running, {counts.waiting} waiting")
    _say(f"Logs       {place.logs}/")
    for state in states:
        if state.state not in {"RUNNING", "STARTING"}:
            path = supervisor.log_path(place, state.name)
            _say(f"\n{state.name} does not run. The end of {path}:\n{portal.tail(path)}")
    return 0 if ready and all(state.state == "RUNNING" for state in states) else 1


def _may_look(folder: Path) -> bool:
    try:
        (folder / "portal.json").exists()
        folder.is_dir()
    except PermissionError:
        return False
    return True


def _span(seconds: float) -> str:
    whole = max(0, int(seconds))
    days, rest = divmod(whole, 86400)
    hours, rest = divmod(rest, 3600)
    minutes, rest = divmod(rest, 60)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _say(line: str) -> None:
    print(line)  # noqa: T201 - what people asked for
