"""Fixtures of the tests of formulas."""

from __future__ import annotations

import pytest
import torch
from fixtures.formulas import in_double
from fixtures.tower_formulas import pixels_of

from benchmark.backbones.clip import Backbone
from benchmark.config.schema import BackboneSpec
from benchmark.training.checks.tiny_clips import CONFIGS, NATIVE, TEXT
from benchmark.training.checks.tiny_clips import write as write_backbone


@pytest.fixture(scope="session")
def doubled(load_backbone):
    """The tiny backbones in double precision by name, each loaded once; a test that changes one is a bug.

    Double precision, because the random towers amplify the rounding of single precision.
    """
    loaded = {}

    def get(name):
        if name not in loaded:
            loaded[name] = in_double(load_backbone(name))
        return loaded[name]

    return get


@pytest.fixture(params=["native", "eva"])
def backbone(request, doubled):
    """Each of the two layouts in turn."""
    return doubled(request.param)


@pytest.fixture
def other(backbone, doubled):
    """The other layout."""
    return doubled("eva" if backbone.name == "native" else "native")


@pytest.fixture(scope="session")
def deep(tmp_path_factory):
    """OpenAI's layout with four text layers and three image layers, so that there are several deeper prompts."""
    config = {**CONFIGS["native"], "vision_cfg": {**NATIVE, "layers": 3}, "text_cfg": {**TEXT, "layers": 4}}
    folder = write_backbone(tmp_path_factory.mktemp("deep") / "deep", config, seed=7)
    return in_double(Backbone.load("deep", BackboneSpec(model=f"local-dir:{folder}")))


@pytest.fixture(scope="session")
def stem(doubled):
    """A timm ViT, whose q, k and v are one linear layer."""
    return doubled("stem")


@pytest.fixture
def pixels(backbone, examples):
    return pixels_of(backbone, examples)


@pytest.fixture
def features(backbone, pixels):
    """Image features (12, d) by open_clip's own call."""
    with torch.no_grad():
        return backbone.model.encode_image(pixels)


@pytest.fixture
def labels(examples):
    return torch.tensor(examples.labels)
