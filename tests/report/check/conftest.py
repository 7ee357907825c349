"""A check with known answers."""

from __future__ import annotations

import pytest
from fixtures.made_check import made

from benchmark.analysis.check.result import CheckResult


@pytest.fixture
def result() -> CheckResult:
    return made()
