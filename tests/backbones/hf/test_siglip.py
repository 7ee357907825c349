"""SiglipModel as a backbone: its features are those that transformers computes."""

from __future__ import annotations

import pytest
from fixtures.hf import check, load, siglip, transformers

from benchmark.backbones.towers import tower


def test_siglip(tmp_path):
    backbone, model = check(siglip(tmp_path), transformers.SiglipModel)
    assert float(backbone.logit_bias) == pytest.approx(float(model.logit_bias))
    assert tower(backbone, "vision").pooling() is not None
    assert load(tmp_path).digest == backbone.digest, "its image tower is registered once"
