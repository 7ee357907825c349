"""Why modules survive an upgrade or not, and what can be done: sweeps that are no part of the main job."""
