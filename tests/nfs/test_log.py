"""A Run prints on one machine, the portal reads on another, and an NFS server lies between."""

from __future__ import annotations

import base64
import bisect
import itertools
import statistics
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.nfs.guest.job import bulk_lines
from tests.nfs.lab import AS_USER, GUEST_FILES, RUNNER, STORAGE, Conversation, Guest, Lab

pytestmark = [pytest.mark.nfs, pytest.mark.timeout(300)]

JOB = ("python3", f"{GUEST_FILES}/job.py")
INTERVAL = 0.05
"""seconds between two lines"""
PROMISED, LATEST = 0.300, 1.0
"""seconds from printing a line to having it on the portal's machine: for 95 of 100, and for all"""
MOST_REQUESTS = 80
"""a second that one watched Run may cost the file server: ten looks"""
OUTAGE = 20.0
HELD = 0.5
"""seconds: the event loop is not held for longer, whatever the storage does (the CPUs are shared)"""


@dataclass(frozen=True)
class Seen:
    """What the portal's machine saw of a Run, moments in seconds of the host's clock."""

    data: bytes
    arrivals: list[tuple[float, int]]
    """when there were how many bytes"""
    words: list[tuple[float, bool]]
    """whether the storage answers, each time that this was told anew"""
    end: dict[str, Any]
    stall: float


@dataclass
class Watch:
    """A Run that the writer's machine works at and the reader's machine watches."""

    lab: Lab
    portal: Conversation
    run: str
    folder: str
    clocks: dict[str, int] = field(default_factory=dict)

    def print_with(self, *job: str, options: Sequence[str] = (), timeout: float = 60) -> None:
        """The runner, from start to end."""
        runner = [*AS_USER, RUNNER, "--dir", self.folder, *options, "--", *JOB, *job]
        self.lab.writer.run(*runner, timeout=timeout)

    def finish(self) -> Seen:
        """At the moment that the runner has ended: what was seen."""
        report = self.portal.ask(do="finish")
        data = self.portal.take(report["size"])
        after = {guest.name: guest.clock() for guest in (self.lab.writer, self.lab.reader)}
        for name, before in self.clocks.items():
            assert abs(after[name] - before) < 5e6, f"the clock of {name} has jumped"

        def here(moment: int) -> float:
            return (moment - self.clocks["reader"]) / 1e9

        others = [(here(moment), event) for moment, event in report["others"]]
        return Seen(
            data=data,
            arrivals=[(here(moment), size) for moment, size in report["arrivals"]],
            words=[(at, event["answers"]) for at, event in others if event["type"] == "storage"],
            end=others[-1][1],
            stall=report["stall"],
        )

    def delays(self, seen: Seen) -> list[float]:
        """Of each line, from its printing to its last byte's arrival."""
        sizes = [size for _, size in seen.arrivals]
        ends = itertools.accumulate(len(line) for line in seen.data.splitlines(keepends=True))
        delays = []
        for line, end in zip(seen.data.splitlines(), ends, strict=True):
            printed = (int(line.split()[1]) - self.clocks["writer"]) / 1e9
            delays.append(seen.arrivals[bisect.bisect_left(sizes, end)][0] - printed)
        return delays

    def on_the_server(self) -> bytes:
        """The file itself, asked of the machine whose disk it is on."""
        path = self.folder.replace(STORAGE, "/srv/export", 1)
        return base64.b64decode(self.lab.server.shell(f"base64 {path}/log"))


@pytest.fixture
def watch(lab: Lab, portal: Conversation) -> Watch:
    clocks = {guest.name: guest.clock() for guest in (lab.writer, lab.reader)}
    return Watch(lab, portal, **portal.ask(do="watch"), clocks=clocks)


@contextmanager
def jitter(*guests: Guest, delay: str) -> Iterator[None]:
    """Whatever these machines send is late by a random time, and overtakes itself."""
    for guest in guests:
        guest.shell(f"tc qdisc add dev eth0 root netem delay {delay}")
    try:
        yield
    finally:
        for guest in guests:
            guest.shell("tc qdisc del dev eth0 root")


@contextmanager
def mounted(guest: Guest, options: str) -> Iterator[None]:
    guest.mount(options)
    try:
        yield
    finally:
        guest.mount()


def check_lines(data: bytes, seconds: float) -> None:
    """Every line that job.py prints in this time, once and in order."""
    lines = data.splitlines(keepends=True)
    assert [int(line[:6]) for line in lines] == list(range(round(seconds / INTERVAL)))
    for number, line in enumerate(lines):
        assert line.split(b" ")[2] == b"x" * (number % 61) + b"\n"


def check_whole(watch: Watch, seen: Seen) -> None:
    """What was seen is the file, byte for byte, and the end says so."""
    assert seen.data == watch.on_the_server()
    assert (seen.end["type"], seen.end["size"]) == ("end", len(seen.data))


def told(what: str, delays: list[float]) -> tuple[float, float]:
    """Print the figures; p95 and maximum in seconds."""
    p95, slowest = statistics.quantiles(delays, n=20)[-1], max(delays)
    print(  # noqa: T201 - these figures are what the tests are for
        f"\n{what}: {len(delays)} lines, visible after {statistics.median(delays) * 1000:.0f} ms "
        f"(median), {p95 * 1000:.0f} ms (p95), {slowest * 1000:.0f} ms (slowest)"
    )
    return p95, slowest


def test_every_line_is_visible_within_a_second(lab: Lab, watch: Watch) -> None:
    seconds = 20.0
    requests, begin = lab.reader.requests(), time.monotonic()
    watch.print_with("lines", str(seconds), str(INTERVAL))
    rate = (lab.reader.requests() - requests) / (time.monotonic() - begin)
    seen = watch.finish()
    check_lines(seen.data, seconds)
    check_whole(watch, seen)
    p95, slowest = told("undisturbed", watch.delays(seen))
    print(f"requests to the file server: {rate:.0f}/s")  # noqa: T201
    assert p95 < PROMISED
    assert slowest < LATEST
    assert rate < MOST_REQUESTS
    assert seen.words == []


@pytest.mark.parametrize("options", ["", ",wsize=32768"], ids=["as usual", "small wsize"])
def test_bytes_are_exact_on_a_line_with_jitter(lab: Lab, watch: Watch, options: str) -> None:
    """On four connections at once: requests overtake each other, not only packets. With more than
    one of them in flight the file has holes for a moment, and a reader keeps their zeros for good.
    """
    mib = 3
    with mounted(lab.writer, f",nconnect=4{options}"), jitter(lab.writer, delay="20ms 19ms"):
        watch.print_with("bulk", str(mib), timeout=120)
        seen = watch.finish()
    zeros = seen.data.count(0)
    assert zeros == 0
    is_exact = seen.data == b"".join(bulk_lines(mib))
    assert is_exact
    check_whole(watch, seen)
    # Else nothing was read while it was being written, and the test shows nothing.
    assert len(seen.arrivals) > 20


def test_lines_are_exact_and_in_time_with_jitter(lab: Lab, watch: Watch) -> None:
    seconds = 10.0
    with jitter(lab.server, lab.writer, lab.reader, delay="5ms 4ms"):
        watch.print_with("lines", str(seconds), str(INTERVAL))
        seen = watch.finish()
    check_lines(seen.data, seconds)
    check_whole(watch, seen)
    _, slowest = told("with jitter", watch.delays(seen))
    assert slowest < LATEST


def test_a_server_that_is_away_for_20_seconds_costs_no_byte(lab: Lab, watch: Watch) -> None:
    seconds = 5 + OUTAGE + 10
    with ThreadPoolExecutor(1) as threads:
        begin = time.monotonic()
        printing = threads.submit(
            watch.print_with, "lines", str(seconds), str(INTERVAL), timeout=150
        )
        pause_until(begin + 5)
        killed = time.monotonic()
        lab.kill(lab.server)
        pause_until(killed + OUTAGE)
        lab.start(lab.server)
        back = time.monotonic()
        printing.result()
    seen = watch.finish()
    check_lines(seen.data, seconds)
    check_whole(watch, seen)
    resumed = next(at for at, _ in seen.arrivals if at > back)
    print(  # noqa: T201
        f"\nserver away for {back - killed:.1f} s, first bytes {resumed - back:.1f} s after that; "
        f"said {[(round(at - killed, 1), answers) for at, answers in seen.words]}; "
        f"event loop held for at most {seen.stall * 1000:.0f} ms"
    )
    assert seen.stall < HELD
    # The page says why nothing comes, and that it goes on.
    assert [answers for _, answers in seen.words] == [False, True]
    assert killed < seen.words[0][0] < killed + 6
    assert seen.words[1][0] > back
    quiet = [at for at, _ in seen.arrivals if killed + 0.5 < at < back]
    assert quiet == [], "the server was not away at all"


def pause_until(moment: float) -> None:
    """The length of an outage is what is tested: there is no condition to wait for."""
    time.sleep(max(0.0, moment - time.monotonic()))
