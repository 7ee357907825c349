"""Layouts are found by folder: one file is enough for another."""

from __future__ import annotations

import sys

import pytest

from benchmark.backbones import towers
from benchmark.backbones.towers import layouts, tower
from benchmark.backbones.towers.base import UnknownEncoder
from benchmark.backbones.towers.layouts.openai_vit import OpenAIViT
from benchmark.backbones.towers.layouts.timm_vit import TimmViT

LAYOUT = '''
"""OpenAI's ViT under another name."""

from benchmark.backbones.towers.layouts.openai_vit import OpenAIViT


class Special(OpenAIViT):
    priority = 9
'''


@pytest.mark.parametrize(("name", "layout"), [("native", OpenAIViT), ("eva", TimmViT), ("stem", TimmViT)])
def test_the_layout_of_an_encoder(name, layout, backbones):
    assert type(tower(backbones[name], "vision")) is layout
    assert tower(backbones[name], "text").width == 32


def test_an_encoder_without_a_layout(load_backbone):
    backbone = load_backbone("native")
    del backbone.model.visual.transformer
    encoder = tower(backbone, "vision")
    assert type(encoder) is UnknownEncoder
    assert encoder.blocks == []
    assert "not a transformer of a known layout" in encoder.prompt_incompatibility()
    with pytest.raises(ValueError, match="the width of a VisionTransformer is not known"):
        _ = encoder.width


def test_a_file_in_the_folder_is_a_layout(backbones, tmp_path, monkeypatch):
    (tmp_path / "special.py").write_text(LAYOUT)
    monkeypatch.setattr(layouts, "__path__", [*layouts.__path__, str(tmp_path)])
    towers.known_layouts.cache_clear()
    try:
        encoder = tower(backbones["native"], "vision")
        assert type(encoder).__name__ == "Special"
        assert len(encoder.blocks) == 2
        assert type(tower(backbones["eva"], "vision")) is TimmViT
    finally:
        towers.known_layouts.cache_clear()
        sys.modules.pop("benchmark.backbones.towers.layouts.special", None)
