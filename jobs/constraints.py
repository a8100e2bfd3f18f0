"""Attributes that a machine must have for a Run: `disk:ssd, zone:a`. Pure.

All of them must hold. An Environment may ask for some, a Run for more; the Run keeps the union.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

Constraints = tuple[tuple[str, str], ...]
"""(name, value), sorted, each name once"""

MOST = 10
LONGEST = 500
"""characters of the text: what the columns hold"""
_ONE = re.compile(r"([A-Za-z0-9._/-]+):([A-Za-z0-9._/-]+)")


class BadConstraints(ValueError):
    """The message is a sentence for whoever wrote them."""


def parse(written: str) -> Constraints:
    """What somebody typed: `name:value`, several with commas between them. Raises BadConstraints."""
    written = written.strip()
    if len(written) > LONGEST:
        raise BadConstraints(f"Use at most {LONGEST} characters to say which machines will do.")
    return union(_one(each.strip()) for each in written.split(",")) if written else ()


def union(pairs: Iterable[tuple[str, str]]) -> Constraints:
    """All of them must hold. Raises BadConstraints where they can't, or are too many."""
    found: dict[str, str] = {}
    for name, value in pairs:
        if found.setdefault(name, value) != value:
            raise BadConstraints(
                f"No machine can have both {name}:{found[name]} and {name}:{value}: choose one."
            )
    if len(found) > MOST:
        raise BadConstraints(f"Ask for at most {MOST} attributes of a machine.")
    constraints = tuple(sorted(found.items()))
    if len(text(constraints)) > LONGEST:
        raise BadConstraints(f"Use at most {LONGEST} characters to say which machines will do.")
    return constraints


def text(constraints: Constraints) -> str:
    """`disk:ssd, zone:a`: the one way to write them, as rows keep it."""
    return ", ".join(f"{name}:{value}" for name, value in constraints)


@lru_cache(maxsize=4096)
def stored(kept: str) -> Constraints:
    """Read what text() wrote into a row. Never fails: what can't be read no machine has."""
    pairs = (each.strip().partition(":") for each in kept.split(",") if each.strip())
    return tuple(sorted((name, value) for name, _, value in pairs))


def again(kept: str, environment: str) -> str:
    """What a Run asked for, without the attributes that the Environment now decides."""
    decided = dict(stored(environment))
    return text(tuple(pair for pair in stored(kept) if pair[0] not in decided))


def words(constraints: Constraints) -> str:
    """disk:ssd and zone:a"""
    each = [f"{name}:{value}" for name, value in constraints]
    return " and ".join(filter(None, [", ".join(each[:-1]), *each[-1:]]))


def matches(constraints: Constraints, attributes: Mapping[str, str]) -> bool:
    """Whether a machine with these attributes will do."""
    return all(attributes.get(name) == value for name, value in constraints)


def _one(written: str) -> tuple[str, str]:
    found = _ONE.fullmatch(written)
    if found is None:
        raise BadConstraints(
            f"“{written[:60]}” names no attribute of a machine: write name:value, for example "
            "disk:ssd, with letters, digits and . _ / -, and a comma between two."
        )
    return found[1], found[2]
