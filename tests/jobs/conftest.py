"""Fixtures of tests of Runs."""

from __future__ import annotations

import pytest

from jobs.backends.base import Offer
from tests.factories import make_environment
from tests.jobs.placing import GB, Machines


@pytest.fixture
def vm(db: None) -> Machines:
    """One machine, with an Environment for it."""
    make_environment("r", uses_image=False)
    return Machines(Offer("vm", 4.0, 8 * GB))
