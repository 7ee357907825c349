"""The report: tidy results in, one self-contained HTML page out."""

from __future__ import annotations

from benchmark.report.frame import scope
from benchmark.report.model import About, DatasetAbout
from benchmark.report.page import write
from benchmark.report.tables import headline

__all__ = ["About", "DatasetAbout", "headline", "scope", "write"]
