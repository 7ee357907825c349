"""One file per analysis: what the report says, draws and tabulates of it; see ``benchmark.report.analysis_view.View``."""
