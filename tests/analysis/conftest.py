"""One household for all analyses, and the bench of tiny CLIPs."""

from __future__ import annotations

import pytest
from fixtures.analyses import AnalysesHousehold

from benchmark.training.checks.contract import Bench


@pytest.fixture(scope="session")
def household(tmp_path_factory, backbone_folders) -> AnalysesHousehold:
    names = ("native", "eva", "narrow")
    return AnalysesHousehold(tmp_path_factory.mktemp("analyse"), {name: backbone_folders[name] for name in names})


@pytest.fixture(scope="session")
def bench():
    with Bench.make() as made:
        yield made
