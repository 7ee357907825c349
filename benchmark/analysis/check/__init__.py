"""What to do with one module that a team has: every way to go on is measured on the same images, and one is advised."""
