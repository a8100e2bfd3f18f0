"""What the database knows, for `status` and `down`: run as `python -m deploy.portal.facts`."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass

from deploy.portal.place import Place


@dataclass(frozen=True)
class Facts:
    running: int
    """Runs that are starting or running"""
    waiting: int


def ask(place: Place) -> Facts | None:
    """None when the database cannot be asked (not set up yet, or away)."""
    outcome = place.python_run(["-m", "deploy.portal.facts"])
    if outcome.returncode != 0:
        return None
    return Facts(**json.loads(outcome.stdout))


def main() -> None:
    import django

    django.setup()
    from jobs.models import Run
    from jobs.states import ACTIVE, RunState

    runs = Run.objects.all()
    facts = Facts(
        running=runs.filter(state__in=ACTIVE).count(),
        waiting=runs.filter(state=RunState.QUEUED).count(),
    )
    sys.stdout.write(json.dumps(asdict(facts)))


if __name__ == "__main__":
    main()
