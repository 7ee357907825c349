"""The report: tidy results in, one self-contained HTML page out."""

from __future__ import annotations

from benchmark.report.export import beside
from benchmark.report.page import write
from benchmark.report.table_prep import covariances, scope
from benchmark.report.tables import headline
from benchmark.results.provenance import About, DatasetAbout, PublishedRow

__all__ = ["About", "DatasetAbout", "PublishedRow", "beside", "covariances", "headline", "scope", "write"]
