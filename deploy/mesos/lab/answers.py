"""What a master or an agent says over HTTP."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

PATIENCE = 5.0
"""seconds"""
_HEADERS = {"Content-Type": "application/json", "Accept": "application/json"}


def look(address: str, path: str) -> Any:
    """JSON of an endpoint. Raises OSError when nobody answers, or with 503."""
    with urllib.request.urlopen(f"http://{address}{path}", timeout=PATIENCE) as answer:
        return json.load(answer)


def master_info(address: str) -> dict[str, object]:
    """MasterInfo, as the master itself tells it. Raises OSError: 503 while it recovers."""
    question = urllib.request.Request(
        f"http://{address}/api/v1", data=b'{"type": "GET_MASTER"}', headers=_HEADERS
    )
    with urllib.request.urlopen(question, timeout=PATIENCE) as answer:  # noqa: S310 - http only
        found: dict[str, object] = json.load(answer)["get_master"]["master_info"]
    return found
