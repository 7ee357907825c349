"""Analyses of why modules survive an upgrade and of how to repair them; sweeps apart from the main job."""
