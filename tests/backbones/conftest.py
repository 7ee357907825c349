"""Backbones for the tests of this folder: in double precision, and laid out as SigLIP's."""

from __future__ import annotations

import open_clip
import pytest
from fixtures.hub import hub, no_network, tiny_models, tiny_state
from fixtures.siglip import Pieces, write

from benchmark.backbones.clip import Backbone
from benchmark.config.schema import BackboneSpec

__all__ = ["hub", "no_network", "tiny_models", "tiny_state"]


@pytest.fixture
def double(load_backbone):
    """Load a backbone in double precision, so that differences are not rounding."""

    def load(name: str) -> Backbone:
        loaded = load_backbone(name)
        loaded.model.double()
        return loaded

    return load


@pytest.fixture(scope="module")
def load_siglip(tmp_path_factory):
    """Make and load such a backbone with a seed for its weights."""
    place = tmp_path_factory.mktemp("siglip")

    def make(name: str, seed: int, **text) -> Backbone:
        return Backbone.load(name, BackboneSpec(model=f"local-dir:{write(place / name, seed, **text)}"))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(open_clip.factory, "HFTokenizer", Pieces)
        yield make


@pytest.fixture(scope="module")
def siglip(load_siglip) -> Backbone:
    return load_siglip("siglip", 1)


@pytest.fixture(scope="module")
def other_siglip(load_siglip) -> Backbone:
    return load_siglip("other", 2)
