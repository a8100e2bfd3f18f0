"""`./rcluster lint`: everything that can be found without running the portal."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.portal import builds
from deploy.portal.place import Place
from deploy.portal.progress import Progress
from deploy.portal.results import Result, table
from rcluster_site import env as settings

SETTINGS_PAGE = "docs/admin/settings.md"


def run(place: Place) -> int:
    results = check(place)
    table(results)
    return 0 if all(result.ok for result in results) else 1


def check(place: Place) -> list[Result]:
    """Run every check, also after one has failed: people want to see all of it at once."""
    progress = Progress()
    with scratch_home(place) as variables:
        builds.ensure_modules(place, progress)
        results = [
            Result.of(name, words, cwd=place.clone, env=variables)
            for name, words in _commands(place).items()
        ]
    results.append(_settings_page(place))
    return results


@contextmanager
def scratch_home(place: Place) -> Iterator[dict[str, str]]:
    """An environment in which Django's settings can be loaded, away from any portal."""
    with tempfile.TemporaryDirectory(prefix="rc-lint-") as home:
        kept = {k: v for k, v in place.variables.items() if not k.startswith("RCLUSTER_")}
        yield {
            **kept,
            "PATH": f"{place.python.parent}:{kept.get('PATH', '')}",
            "RCLUSTER_HOME": home,
            "RCLUSTER_SECRET_KEY": "only-for-lint",
            "DJANGO_SETTINGS_MODULE": "rcluster_site.settings",
        }


def _commands(place: Place) -> dict[str, list[str]]:
    python = str(place.python)
    found = {
        "ruff check": [place.program("ruff"), "check", "."],
        "ruff format": [place.program("ruff"), "format", "--check", "."],
        "mypy": [place.program("mypy"), "."],
        "import rules": [place.program("lint-imports"), "--no-logo"],
        "migrations": [python, "manage.py", "makemigrations", "--check", "--dry-run"],
        "django check": [python, "manage.py", "check", "--fail-level", "WARNING"],
        "front end": ["npm", "--prefix", "frontend", "run", "--silent", "check"],
    }
    if shutil.which("shellcheck"):
        scripts = [place.clone / "rcluster", place.clone / ".ci/run"]
        scripts += sorted((place.clone / "deploy").rglob("*.sh"))
        found["shellcheck"] = ["shellcheck", *map(str, scripts)]
    return found


def _settings_page(place: Place) -> Result:
    path: Path = place.clone / SETTINGS_PAGE
    current = path.exists() and path.read_text() == settings.as_markdown()
    hint = "" if current else f"{SETTINGS_PAGE} is stale: python -m rcluster_site.env"
    return Result("settings page", ok=current, seconds=0.0, note=hint)
