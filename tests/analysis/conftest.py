"""One household for all analyses."""

from __future__ import annotations

import pytest
from fixtures.analyses import AnalysesHousehold


@pytest.fixture(scope="session")
def household(tmp_path_factory, backbone_folders) -> AnalysesHousehold:
    names = ("native", "eva", "narrow")
    return AnalysesHousehold(tmp_path_factory.mktemp("analyse"), {name: backbone_folders[name] for name in names})
