"""Logins to registries, from a Docker config.json."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jobs.backends.images import HUB_HOST

HUB_KEY = "https://index.docker.io/v1/"
"""Docker Hub in a config.json"""


@dataclass(frozen=True)
class Credential:
    username: str = ""
    password: str = ""
    identity_token: str = ""


class Logins:
    """Those that stand in the file, not those in a credential helper."""

    def __init__(self, config: Path | None = None) -> None:
        self._config = config

    def of(self, host: str) -> Credential | None:
        """For this registry. From the file as it is now: who edits it need not restart anything."""
        if self._config is None:
            return None
        try:
            known = json.loads(self._config.read_bytes())["auths"]
            found = {_host_of(key): entry for key, entry in known.items()}
        except (OSError, ValueError, KeyError, AttributeError, TypeError):
            return None
        entry = found.get(_host_of(HUB_KEY) if host == HUB_HOST else host)
        return _credential(entry) if isinstance(entry, dict) else None


def _host_of(key: str) -> str:
    """`registry.example:5000` and `https://registry.example:5000/v1/` name the same."""
    return urlsplit(key if "//" in key else f"//{key}").netloc


def _credential(entry: Mapping[str, Any]) -> Credential | None:
    identity = str(entry.get("identitytoken") or "")
    username, password = str(entry.get("username") or ""), str(entry.get("password") or "")
    if entry.get("auth"):
        try:
            pair = base64.b64decode(str(entry["auth"]), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            pair = ""
        username, _, password = pair.rstrip("\0").partition(":")
    if not (username or identity):
        return None
    return Credential(username, password, identity)
