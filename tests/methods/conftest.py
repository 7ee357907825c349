"""Fixtures of the tests of formulas."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture(params=["native", "eva"])
def backbone(request, load_backbone):
    """Each layout in turn, in double precision: the random towers amplify the rounding of single precision."""
    loaded = load_backbone(request.param)
    loaded.model.double()
    to_pixels = loaded.transform
    loaded.transform = lambda image: to_pixels(image).double()
    return loaded


@pytest.fixture
def features(backbone, examples):
    """Image features (12, d) by open_clip's own call."""
    pixels = torch.stack([backbone.transform(examples.images[row]) for row in range(len(examples))])
    with torch.no_grad():
        return backbone.model.encode_image(pixels)


@pytest.fixture
def labels(examples):
    return torch.tensor(examples.labels)
