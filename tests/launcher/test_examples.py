"""The examples that everybody sees first: complete, and they run (on this machine's R)."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent.parent / "deploy" / "examples"
FIELDS = {"slug", "name", "description", "script", "cpus", "memory", "time_limit", "arguments"}


@pytest.mark.parametrize("slug", ["bike-hire", "bootstrap", "pi"])
def test_an_example_says_all_that_a_run_needs(slug: str) -> None:
    about = json.loads((EXAMPLES / slug / "example.json").read_text())
    assert set(about) == FIELDS
    assert about["slug"] == slug
    assert (EXAMPLES / slug / "code" / about["script"]).is_file()
    assert 0 < about["cpus"] <= 2
    assert 256 * 1024**2 <= about["memory"] <= 2 * 1024**3


@pytest.mark.local
@pytest.mark.slow
@pytest.mark.parametrize(
    ("slug", "arguments", "results"),
    [
        ("bike-hire", [], {"bike_hires.png", "predictions.csv", "summary.txt"}),
        ("bootstrap", ["200"], {"bootstrap.png", "slopes.csv"}),
        ("pi", ["1"], {"pi.png"}),
    ],
)
def test_an_example_runs(
    tmp_path: Path, slug: str, arguments: list[str], results: set[str]
) -> None:
    about = json.loads((EXAMPLES / slug / "example.json").read_text())
    given = EXAMPLES / slug / "input"
    binds = [
        "--ro-bind",
        str(EXAMPLES / slug / "code"),
        "/code",
        "--bind",
        str(tmp_path),
        "/output",
    ]
    if given.is_dir():
        binds += ["--ro-bind", str(given), "/input"]
    done = subprocess.run(
        [
            *("bwrap", "--tmpfs", "/", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"),
            *(
                "--ro-bind",
                "/usr",
                "/usr",
                "--ro-bind",
                "/etc",
                "/etc",
                "--ro-bind",
                "/var",
                "/var",
            ),
            *("--symlink", "usr/bin", "/bin", "--symlink", "usr/lib", "/lib"),
            *("--symlink", "usr/lib64", "/lib64", *binds, "--chdir", "/code"),
            *("--setenv", "LANG", "C.UTF-8", "Rscript", about["script"], *arguments),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert {path.name for path in tmp_path.iterdir()} == results
    for picture in tmp_path.glob("*.png"):
        assert picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
        assert picture.stat().st_size > 20_000
