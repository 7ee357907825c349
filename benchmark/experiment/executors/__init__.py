"""Where cells are computed, one file per way; see ``benchmark.experiment.executor.Executor``."""
