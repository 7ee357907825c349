"""Ways to make a module of the old backbone work on the new one, one file each; see ``base.Repair``."""
