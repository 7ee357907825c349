"""The report: tidy results in, one self-contained HTML page out."""

from __future__ import annotations

from benchmark.report.frame import scope
from benchmark.report.model import About, DatasetAbout, PublishedRow
from benchmark.report.page import write
from benchmark.report.tables import headline

__all__ = ["About", "DatasetAbout", "PublishedRow", "headline", "scope", "write"]
