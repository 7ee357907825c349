"""One file per metric; see ``benchmark.results.metric.Metric``."""
