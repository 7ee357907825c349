"""A leaderboard of several packs: static pages, one for each upgrade."""

from __future__ import annotations

from benchmark.report.site.pages import write
from benchmark.report.site.sources import read_all

__all__ = ["read_all", "write"]
