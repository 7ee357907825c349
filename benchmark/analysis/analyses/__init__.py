"""One file per analysis; see ``benchmark.analysis.base.Analysis``. What the report shows of it is in
``benchmark/report/analyses/``, in a file of the same name."""
