"""What the suite found, as tables for the terminal and for docs/reliability.md."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from tests.chaos.faults import FAULTS, Fault
from tests.chaos.moments import MOMENTS
from tests.chaos.verdict import Verdict

DOCUMENT = Path(__file__).parent.parent.parent / "docs" / "reliability.md"
HEADINGS = ("fault", "struck", "Runs", "lost", "doubled", "wrong", "slowest recovery")


@dataclass
class Tried:
    """One case, or one random schedule."""

    backend: str
    fault: str
    moment: str
    faults: int
    """how many times a fault struck"""
    runs: int
    lost: int
    doubled: int
    wrong: int
    seconds: float
    """slowest recovery"""
    completed: bool = True
    """False: the case itself broke off; it counts as wrong"""


@dataclass
class Report:
    seed: int
    database: str
    sampled: bool
    tried: list[Tried] = field(default_factory=list)

    def add(
        self,
        backend: str,
        fault: str,
        moment: str,
        *,
        faults: int,
        verdicts: Iterable[Verdict],
        leftovers: int,
    ) -> None:
        judged = list(verdicts)
        self.tried.append(
            Tried(
                backend,
                fault,
                moment,
                faults=faults,
                runs=len(judged),
                lost=sum(bool(v.lost) for v in judged),
                doubled=sum(bool(v.doubled) for v in judged),
                wrong=sum(bool(v.wrong) for v in judged) + (leftovers > 0),
                seconds=max((v.seconds for v in judged), default=0.0),
            )
        )

    def broke_off(self, backend: str, fault: str, moment: str) -> None:
        self.tried.append(Tried(backend, fault, moment, 0, 0, 0, 0, 1, 0.0, completed=False))

    def lines(self) -> list[str]:
        """For the terminal."""
        found = [f"chaos: seed {self.seed}, {self.database}"]
        for backend in self._backends():
            rows = [HEADINGS, *self._rows(backend)]
            widths = [max(len(row[i]) for row in rows) for i in range(len(HEADINGS))]
            found += ["", f"backend {backend}"]
            found += [
                "  ".join(
                    cell.ljust(width) if i == 0 else cell.rjust(width)
                    for i, (cell, width) in enumerate(zip(row, widths, strict=True))
                )
                for row in rows
            ]
        return found

    def write(self, faults: tuple[str, Sequence[Fault]] = ("faults", FAULTS)) -> Path:
        """Replace the parts of the document that this run has measured; the text stays.

        `faults`: where they are listed, and those that were tried.
        """
        text = DOCUMENT.read_text()
        for backend in self._backends():
            cases = [t for t in self.tried if t.backend == backend and t.moment in MOMENTS]
            schedules = [t for t in self.tried if t.backend == backend and t.moment not in MOMENTS]
            if cases:
                text = _replaced(text, f"{backend}-cases", self._cases_part(backend, cases))
            if schedules:
                text = _replaced(text, f"{backend}-schedule", self._schedule_part(schedules))
        text = _replaced(text, faults[0], _faults_part(faults[1]))
        DOCUMENT.write_text(text)
        return DOCUMENT

    def _backends(self) -> list[str]:
        return sorted({tried.backend for tried in self.tried})

    def _rows(self, backend: str) -> list[tuple[str, ...]]:
        names = list(dict.fromkeys(t.fault for t in self.tried if t.backend == backend))
        rows = [
            _row(name, [t for t in self.tried if (t.backend, t.fault) == (backend, name)])
            for name in names
        ]
        return [*rows, _row("in all", [t for t in self.tried if t.backend == backend])]

    def _about(self) -> str:
        return f"{datetime.now(UTC):%Y-%m-%d}, seed {self.seed}, {self.database}, {machine()}."

    def _cases_part(self, backend: str, cases: list[Tried]) -> str:
        rows = [r for r in self._rows(backend) if any(t.fault == r[0] for t in cases)]
        rows.append(_row("in all", cases))
        moments = [each for each in MOMENTS if any(t.moment == each for t in cases)]
        matrix = [("seconds to the end", *moments)]
        for name in dict.fromkeys(t.fault for t in cases):
            cells = {t.moment: _cell(t) for t in cases if t.fault == name}
            matrix.append((name, *(cells.get(moment, "–") for moment in moments)))
        return f"{self._about()}\n\n{_markdown([HEADINGS, *rows])}\n\n{_markdown(matrix)}"

    def _schedule_part(self, schedules: list[Tried]) -> str:
        return (
            f"{self._about()}\n\n{_markdown([HEADINGS, *(_row(t.fault, [t]) for t in schedules)])}"
        )


def machine() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3
    return f"{os.cpu_count()} cores, {memory:.0f} GiB, Linux {platform.release()}"


def _row(name: str, tried: list[Tried]) -> tuple[str, ...]:
    return (
        name,
        str(sum(t.faults for t in tried)),
        str(sum(t.runs for t in tried)),
        str(sum(t.lost for t in tried)),
        str(sum(t.doubled for t in tried)),
        str(sum(t.wrong for t in tried)),
        f"{max((t.seconds for t in tried), default=0.0):.1f} s",
    )


def _cell(tried: Tried) -> str:
    if not tried.completed:
        return "**broke off**"
    bad = tried.lost or tried.doubled or tried.wrong
    return f"**{tried.seconds:.1f} ✗**" if bad else f"{tried.seconds:.1f}"


def _faults_part(faults: Sequence[Fault]) -> str:
    told = [(fault.name, fault.models) for fault in faults if fault.models]
    return _markdown([("fault", "what is done"), *told])


def _markdown(rows: list[tuple[str, ...]]) -> str:
    head, *body = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([head, "|" + "---|" * len(rows[0]), *body])


def _replaced(text: str, part: str, content: str) -> str:
    begin, end = f"<!-- chaos {part} -->", f"<!-- /chaos {part} -->"
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if not pattern.search(text):
        raise ValueError(f"{DOCUMENT} has no place for {begin}")
    return pattern.sub(lambda _: f"{begin}\n{content}\n{end}", text)
