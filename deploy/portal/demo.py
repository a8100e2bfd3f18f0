"""`./rcluster demo`: a real script on real data, through the HTTP API, its output as it comes."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from deploy.portal import portal
from deploy.portal.api import Api
from deploy.portal.place import Place
from deploy.portal.problem import Problem
from deploy.portal.progress import Progress

EXAMPLE = "bike-hire"
TOKEN = "demo"  # noqa: S105 - a token's name
FINAL = frozenset({"succeeded", "failed", "cancelled"})
START = 1800.0
"""seconds that the Run may wait: its image may have to be pulled"""
END = 30.0
"""seconds from the log's end to the Run's final state"""


def run(place: Place, *, once: bool) -> int:
    """0 only if the Run SUCCEEDED. The portal stays up unless `once`."""
    progress = Progress()
    progress.say("Setting up R-Cluster")
    started = portal.up(place, progress=progress)
    try:
        final = _run_example(place, started)
        _where_to_look(place, started, once=once)
    finally:
        if once:
            with progress.step("Stopping everything"):
                portal.down(place)
    return 0 if final["state"] == "succeeded" else 1


def _run_example(place: Place, started: portal.Up) -> dict[str, Any]:
    record = portal.record(place)
    if record is None:
        raise Problem("The portal was stopped meanwhile: start the demo again.")
    token = place.manage(
        "issue_token", "--user", started.site.username, "--name", TOKEN, "--hours", "1"
    ).strip()
    api = Api(record.probe, place.host_name, token)
    folder = place.clone / "deploy" / "examples" / EXAMPLE
    about = json.loads((folder / "example.json").read_text())
    task = api.post("/api/v1/tasks", {"name": f"Demo: {about['name']}"})
    for area in ("code", "input"):
        for file in sorted(p for p in (folder / area).rglob("*") if p.is_file()):
            relative = file.relative_to(folder / area).as_posix()
            api.upload(f"/api/v1/tasks/{task['id']}/files/{area}/{relative}", file)
    asked = {
        "kind": "script",
        "script_path": about["script"],
        **{name: about[name] for name in ("cpus", "memory", "time_limit", "arguments")},
    }
    submitted = api.post(f"/api/v1/tasks/{task['id']}/runs", asked)
    _say(f"\nRun {submitted['number']} of “{task['name']}” ({started.site.backend}):\n")
    _wait_for_start(api, submitted["id"])
    _show_log(api, submitted["id"])
    final = _final(api, submitted["id"])
    _say(f"\n{_sentence(final)}")
    _list_outputs(place, api, task["id"])
    _say(f"\nRun        {place.url}/runs/{final['id']}/")
    _say(f"Task       {place.url}/tasks/{task['id']}/")
    return final


def _wait_for_start(api: Api, run_id: str) -> None:
    """Says why it waits (an image is pulled, others use the machine), each sentence once."""
    deadline = time.monotonic() + START
    said = ""
    while (found := api.get(f"/api/v1/runs/{run_id}"))["state"] in {"queued", "starting"}:
        if time.monotonic() > deadline:
            raise Problem(f"The Run did not start within {START / 60:.0f} minutes. {said}")
        sentence = str(found["explanation"])
        if sentence not in {"", said} and found["reason"] != "submitted":
            _say(f"  {sentence}")
            said = sentence
        time.sleep(0.1)


def _show_log(api: Api, run_id: str) -> None:
    for piece in api.stream(f"/api/v1/runs/{run_id}/log?follow=1"):
        sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()


def _final(api: Api, run_id: str) -> dict[str, Any]:
    deadline = time.monotonic() + END
    while True:
        found = api.get(f"/api/v1/runs/{run_id}")
        if found["state"] in FINAL:
            return found
        if time.monotonic() > deadline:
            raise Problem(f"The log ended, but the Run is still {found['state']}.")
        time.sleep(0.1)


def _sentence(final: dict[str, Any]) -> str:
    said = f" ({final['explanation']})" if final["explanation"] else ""
    memory = final.get("peak_memory")
    used = f", at most {memory / 1024**2:.0f} MB of memory" if memory else ""
    return f"The Run {final['state']}{said}{used}."


def _list_outputs(place: Place, api: Api, task: str) -> None:
    entries = api.get(f"/api/v1/tasks/{task}/files/output")["entries"]
    if entries:
        _say("\nIt wrote:")
    for entry in entries:
        address = f"{place.url}/api/v1/tasks/{task}/files/output/{entry['path']}"
        _say(f"  {entry['name']:<22}{entry['size'] / 1024:>8.1f} kB  {address}")


def _where_to_look(place: Place, started: portal.Up, *, once: bool) -> None:
    if once:
        return
    _say(f"Portal     {place.url}/")
    if place.first_login.exists():
        _say(f"User       {started.site.username}, password in {place.first_login}")
    if started.password:
        _say(f"           (it is {started.password}; change it on your account page)")
    _say("Stop it    ./rcluster down")


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - what people asked for
