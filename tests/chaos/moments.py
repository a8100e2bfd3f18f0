"""The moments at which a fault strikes: each brings a Run there, strikes, and lets it go on."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.chaos import rig
from tests.chaos.scene import Part, Scene
from tests.chaos.scripts import PRINTING, QUICK, STOPPING, gated

GATE, FILLER_GATE = "gate", "filler-gate"
START_TAKES = {"local": 0.12, "docker": 0.8, "mesos": 1.2}
"""seconds from the attempt's folder to the script's first line, about"""

Moment = Callable[[Scene], Part]
"""Returns the Run that the case is about."""


def just_submitted(scene: Scene) -> Part:
    """The answer 201 has just arrived."""
    part = scene.submit(QUICK)
    scene.strike(part)
    return part


def meanwhile(scene: Scene) -> Part:
    """While the fault lasts; a portal that is away, or says no, is asked again until it says yes."""

    def try_everything() -> None:
        scene.try_to_submit(QUICK)
        scene.try_to_keep()

    scene.strike(None, meanwhile=try_everything)
    return scene.parts[0] if scene.parts else scene.submit_again(QUICK)


def queued(scene: Scene) -> Part:
    """It waits behind a Run that holds all CPUs (which is the one hit, if Runs are hit)."""
    filler = scene.submit(gated(FILLER_GATE), cpus=rig.CPUS)
    scene.wait_printed(filler, b"started")
    scene.aim(filler)
    part = scene.submit(QUICK)
    scene.wait_state(part, "queued", "no_room")
    scene.strike(filler)
    if not scene.fault.ends_the_run:
        scene.still(filler, {"running"})
        scene.still(part, {"queued"})
    scene.open(FILLER_GATE)
    return part


def starting(scene: Scene) -> Part:
    """Anywhere, by chance, between its placement and its first line."""
    part = scene.submit(gated(GATE))
    scene.wait_placed(part)
    # The moment is a time, not a condition.
    time.sleep(scene.random.uniform(0, START_TAKES[scene.rig.backend]))
    scene.strike(part)
    scene.open(GATE)
    return part


def claimed(scene: Scene) -> Part:
    """Its runner has just taken the permit; the sandbox, or the script's process, is being made."""
    part = scene.submit(gated(GATE))
    scene.wait_claimed(part)
    scene.strike(part)
    scene.open(GATE)
    return part


def running(scene: Scene) -> Part:
    """It runs and waits at a gate, so it is still there afterwards."""
    part = scene.submit(gated(GATE))
    scene.wait_printed(part, b"started")
    scene.wait_state(part, "running", "")
    scene.aim(part)
    scene.strike(part)
    if not scene.fault.ends_the_run:
        scene.still(part, {"running"})
    scene.open(GATE)
    return part


def printing(scene: Scene) -> Part:
    """In the middle of 3,000 lines within two seconds."""
    part = scene.submit(PRINTING)
    size = scene.random.randint(100, len(PRINTING.output) // 2)
    scene.wait_size(part, 1)
    scene.aim(part)
    scene.wait_size(part, size)
    scene.strike(part)
    return part


def finishing(scene: Scene) -> Part:
    """The gate is opened at the same time: it ends during the outage."""
    part = scene.submit(gated(GATE))
    scene.wait_printed(part, b"started")
    scene.wait_state(part, "running", "")
    scene.aim(part)
    scene.open(GATE)
    time.sleep(scene.random.uniform(0, 0.08))
    scene.strike(part)
    return part


def cancelling(scene: Scene) -> Part:
    """Its cancel was accepted; it has not heard of it, or is busy with its last second."""
    part = scene.submit(STOPPING)
    scene.wait_printed(part, b"waiting")
    scene.wait_state(part, "running", "")
    scene.aim(part)
    part.cancelled = scene.rig.cancel(part.run)
    assert part.cancelled
    if scene.random.random() < 0.5:
        scene.wait_printed(part, b"caught")
    scene.strike(part)
    return part


MOMENTS: dict[str, Moment] = {
    "just submitted": just_submitted,
    "meanwhile": meanwhile,
    "queued": queued,
    "starting": starting,
    "claimed": claimed,
    "running": running,
    "printing": printing,
    "finishing": finishing,
    "cancelling": cancelling,
}
