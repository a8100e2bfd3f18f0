"""What came of the stages of a check or a test, as a table for people and a line for machines."""

from __future__ import annotations

import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Result:
    name: str
    ok: bool
    seconds: float
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    note: str = ""

    @classmethod
    def of(cls, name: str, words: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> Result:
        """Run a tool, its output shown as it comes."""
        say(
            f"\n== {name}: {' '.join(Path(words[0]).name if i == 0 else w for i, w in enumerate(words))}"
        )
        start = time.monotonic()
        try:
            status = subprocess.run(
                words, cwd=cwd, env=env, stdin=subprocess.DEVNULL, check=False
            ).returncode
        except FileNotFoundError:
            return cls(name, ok=False, seconds=0.0, note=f"{words[0]} is missing")
        note = "" if status == 0 else f"exit {status}"
        return cls(name, ok=status == 0, seconds=time.monotonic() - start, note=note)

    def with_counts(self, junit: Path) -> Result:
        """The same with pytest's counts. No test at all is a failure: something hid them."""
        try:
            # Written by our own pytest a moment ago.
            suites = ET.parse(junit).getroot().iter("testsuite")  # noqa: S314
            counts = [
                [int(s.get(k, "0")) for k in ("tests", "failures", "errors", "skipped")]
                for s in suites
            ]
        except (FileNotFoundError, ET.ParseError):
            return Result(self.name, ok=False, seconds=self.seconds, note=self.note or "no result")
        tests, failures, errors, skipped = (sum(column) for column in zip(*counts, strict=True))
        bad = failures + errors
        return Result(
            self.name,
            ok=self.ok and tests > skipped,
            seconds=self.seconds,
            passed=max(0, tests - bad - skipped),
            failed=bad,
            skipped=skipped,
            note=self.note if tests > skipped else "no test ran",
        )


def table(results: Sequence[Result]) -> None:
    """The summary that ends `test` and `lint`."""
    width = max(len(result.name) for result in results)
    say("")
    for result in results:
        counts = ""
        if result.passed or result.failed or result.skipped:
            counts = f"{result.passed} passed, {result.failed} failed, {result.skipped} skipped"
        verdict = "ok    " if result.ok else "FAILED"
        line = (
            f"{verdict}  {result.name:<{width}}  {result.seconds:>7.1f} s  {counts}  {result.note}"
        )
        say(line.rstrip())
    good = sum(max(1, r.passed) if r.ok else r.passed for r in results)
    bad = sum(0 if r.ok else max(1, r.failed) for r in results)
    say(f"\n{good} passed, {bad} failed, {sum(r.skipped for r in results)} skipped")


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
