"""Fetches a task's URIs into its sandbox: stands in for mesos-fetcher. Local files only."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ARCHIVES = (".tar", ".tgz", ".gz", ".bz2", ".xz")


def main() -> None:
    info = json.loads(os.environ["MESOS_FETCHER_INFO"])
    os.chdir(info["sandbox_directory"])
    for item in info.get("items", []):
        uri = item["uri"]
        source = Path(uri["value"].removeprefix("file://"))
        target = Path(uri.get("output_file") or source.name)
        if not source.is_file():
            sys.exit(f"Cannot fetch '{uri['value']}': only local files can be fetched here")
        shutil.copyfile(source, target)
        if uri.get("executable"):
            target.chmod(0o755)
        elif uri.get("extract", True) and target.name.endswith(ARCHIVES):
            subprocess.check_call(["tar", "-xf", str(target)])
        elif uri.get("extract", True) and target.name.endswith(".zip"):
            subprocess.check_call(["unzip", "-o", "-q", str(target)])
