"""Deep language prompts that are stored as changes: block by block, one step, and the way to another backbone."""

from __future__ import annotations

import pytest
import torch
from fixtures.formulas import CLASSES, CLOSE, PLUGINS, READABLE, build, cosine_logits, learnt, text_part
from fixtures.tower_formulas import EXACT, gradients, one_step
from torch.nn import functional as F

from benchmark.data.batch import Batch
from benchmark.data.features import Bank
from benchmark.method.passage import Passage
from benchmark.method.terms import Incompatible

NAME = "ivlp-text-offset"


def texts_of(backbone, tensors):
    """Class by class, through open_clip's own blocks."""
    text = text_part(backbone.model)
    found = []
    for readable in READABLE:
        ids = backbone.tokenizer([f"a photo of a {readable}."])[0]
        x = text.token_embedding(ids)
        x = torch.cat([x[:1], x[1:5] + tensors["offset"], x[5:]]) + text.positional_embedding
        for layer, block in enumerate(text.transformer.resblocks):
            if layer and layer <= len(tensors.get("deeper", ())):
                x = torch.cat([x[:1], x[1:5] + tensors["deeper"][layer - 1], x[5:]])
            x = block(x[None], attn_mask=text.attn_mask)[0]
        found.append(text.ln_final(x)[int(ids.argmax())] @ text.text_projection)
    return torch.stack(found)


@pytest.mark.parametrize("depth", [1, 2, 12])
def test_formula(depth, backbone, features, labels):
    method = build(NAME, backbone, text_depth=depth)
    assert ("deeper" in learnt(method)) == (depth > 1)
    with torch.no_grad():
        expected = cosine_logits(backbone.model, features, texts_of(backbone, learnt(method)))
        torch.testing.assert_close(method.logits(Batch(labels, features=features)), expected, **CLOSE)


def test_one_step(backbone, features, labels):
    config, before, after = one_step(NAME, backbone, Bank(features[None], labels))
    leaves = {key: value.requires_grad_() for key, value in before.items()}
    slopes = gradients(F.cross_entropy(cosine_logits(backbone.model, features, texts_of(backbone, leaves)), labels), leaves)
    with torch.no_grad():
        for key, value in before.items():
            torch.testing.assert_close(after[key], value - config.lr * (slopes[key] + 5e-4 * value), **EXACT)


def test_before_it_learns_it_is_the_words_on_every_tower(backbones):
    cls = PLUGINS[NAME].cls
    plain = PLUGINS["coop-offset"].cls
    for name in ("native", "eva", "wide"):
        method, words = (each(each.Config(), backbones[name], CLASSES) for each in (cls, plain))
        with torch.no_grad():
            torch.testing.assert_close(method.class_features(), words.class_features(), **CLOSE)


class Told(Passage):
    relatedness = 0.25


def test_every_change_is_scaled_and_none_can_be_mapped(backbones):
    cls = PLUGINS[NAME].cls
    tensors = {"offset": torch.ones(4, 32), "deeper": torch.ones(1, 4, 32)}
    passage = Told(lambda: backbones["native"], backbones["eva"])
    carried = cls.carry(cls.Config(), tensors, passage)
    assert {name: float(value.mean()) for name, value in carried.items()} == {"offset": 0.25, "deeper": 0.25}
    with pytest.raises(Incompatible, match="no space"):
        cls.carry(cls.Config(carry="mapped"), tensors, passage)
    with pytest.raises(Incompatible):
        cls.carry(cls.Config(), tensors, Told(lambda: backbones["native"], backbones["wide"]))
