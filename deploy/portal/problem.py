"""What the launcher tells people when something is in the way."""

from __future__ import annotations


class Problem(Exception):
    """Something that a person must put right; `str(problem)` says what happened and what to do."""


class Usage(Problem):
    """The command line makes no sense, or names something that is not there: exit status 2."""
