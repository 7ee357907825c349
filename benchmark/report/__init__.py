"""The report: the results of a run in, one self-contained HTML page and its files out."""

from __future__ import annotations

from benchmark.report.export import names_of_files
from benchmark.report.method_rows import first_tables, headline
from benchmark.report.page import render, write, write_paper_tables
from benchmark.report.table_prep import covariances, scope

__all__ = ["covariances", "first_tables", "headline", "names_of_files", "render", "scope", "write", "write_paper_tables"]
