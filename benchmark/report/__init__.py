"""The report: tidy results in, one self-contained HTML page out."""

from __future__ import annotations

from benchmark.report.export import beside
from benchmark.report.frame import covariances, scope
from benchmark.report.model import About, DatasetAbout, PublishedRow
from benchmark.report.page import write
from benchmark.report.tables import headline

__all__ = ["About", "DatasetAbout", "PublishedRow", "beside", "covariances", "headline", "scope", "write"]
