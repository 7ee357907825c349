"""Ways to make a module of the old backbone work on the new one, one per file;
see ``benchmark.analysis.repair_base.Repair``."""
