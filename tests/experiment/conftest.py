"""Fixtures of this folder's tests."""

from fixtures.hub import hub, no_network, tiny_models, tiny_state

__all__ = ["hub", "no_network", "tiny_models", "tiny_state"]
