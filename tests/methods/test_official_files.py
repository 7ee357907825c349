"""Checkpoints of the official code of deep prompts, adapters and classifiers: the same tensors under the official names,
with the frozen weights that lie next to them, give the same logits."""

from __future__ import annotations

import pytest
import torch

from benchmark.config.errors import UserError
from benchmark.config.validation import check
from benchmark.data.batch import Batch, ClassList, FewShots
from benchmark.method.checkpoints import read_module
from benchmark.method.registry import methods
from benchmark.method.terms import Incompatible
from benchmark.training.modules import attach

METHODS = methods()
CLASSES = ClassList(("red dog", "cat", "bird", "house"), "a photo of a {}.", "a photo of a")


def blocks(encoder: str, tensor: torch.Tensor) -> dict[str, torch.Tensor]:
    return {f"{encoder}.transformer.resblocks.{i}.VPT_shallow": value for i, value in enumerate(tensor, start=1)}


def maple(t):
    count = len(t.get("text", ()))
    state = {"ctx": t["context"], "proj.weight": t["first_map.weight"], "proj.bias": t["first_map.bias"]}
    for i in range(count):
        state[f"compound_prompts_text.{i}"] = t["text"][i]
        state |= {f"compound_prompt_projections.{i}.{part}": t[f"maps.{i}.{part}"] for part in ("weight", "bias")}
    return {f"prompt_learner.{name}": value for name, value in state.items()}


def vpt(t):
    return {"image_encoder.VPT": t["prompts"][0]} | blocks("image_encoder", t["prompts"][1:])


def ivlp(t):
    state = {"prompt_learner.ctx": t["prompts.context"]} | blocks("text_encoder", t.get("prompts.text", ()))
    if "prompts.image" in t:
        state |= {"image_encoder.VPT": t["prompts.image"][0]} | blocks("image_encoder", t["prompts.image"][1:])
    return state


def promptsrc(t):
    return ivlp(t) | {"prompt_learner.ZS_image_encoder.conv1.weight": torch.zeros(2, 3, 4, 4)}


def taskres(t):
    return {"text_feature_residuals": t["residual"], "base_text_features": torch.randn(t["residual"].shape)}


def clip_adapter(t):
    return {"fc.0.weight": t["adapter.0.weight"], "fc.2.weight": t["adapter.2.weight"]}


def clap(t):
    base = torch.randn(t["change"].shape)
    return {"prototypes": base + t["change"], "base_text_features": base, "logit_scale": torch.tensor(4.6)}


FORMATS = {
    "maple": (maple, {"depth": 2}),
    "vpt": (vpt, {"depth": 2, "n_image": 3}),
    "ivlp": (ivlp, {"text_depth": 2, "image_depth": 2, "n_image": 3}),
    "ivlp-text": (ivlp, {"text_depth": 2}),
    "promptsrc": (promptsrc, {"depth": 2}),
    "taskres": (taskres, {}),
    "clip-adapter": (clip_adapter, {"reduction": 3}),
    "clap": (clap, {}),
}
FROZEN = {
    "logit_scale": torch.tensor(4.6),
    "image_encoder.conv1.weight": torch.zeros(8, 3, 4, 4),
    "text_encoder.transformer.resblocks.0.attn.in_proj_weight": torch.zeros(6, 2),
    "prompt_learner.token_prefix": torch.zeros(3, 1, 32),
    "prompt_learner.token_suffix": torch.zeros(3, 20, 32),
}
WHOLE = ("maple", "vpt", "ivlp", "ivlp-text", "promptsrc")
"""Methods whose official code saves the whole model."""


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("half", [False, True])
def test_the_same_logits(name, half, backbones, tmp_path):
    backbone, (written, changes) = backbones["native"], FORMATS[name]
    cls = METHODS[name].cls
    config = check(cls.Config, changes, where=name)
    method = cls(config, backbone, CLASSES)
    generator = torch.Generator().manual_seed(2)
    tensors = {n: torch.randn(v.shape, generator=generator) * 0.3 for n, v in method.tensors().items()}
    tensors = {n: v.half().float() for n, v in tensors.items()}
    state = written(tensors) | (FROZEN if name in WHOLE else {})
    state = {n: v.half() for n, v in state.items()} if half and name != "clap" else state
    torch.save({"state_dict": state, "epoch": 5, "optimizer": {}, "scheduler": {}}, tmp_path / "model.pth.tar-5")
    found = read_module(tmp_path / "model.pth.tar-5", METHODS)
    assert found.method == name
    read = check(cls.Config, found.settings, where=name)
    pixels = torch.randn(3, 3, 32, 32, generator=generator)
    batch = Batch(torch.zeros(3, dtype=torch.long), pixels=pixels)
    with torch.no_grad():
        expected = attach(cls, config, backbone, CLASSES, tensors).logits(batch)
        logits = attach(cls, read, backbone, CLASSES, found.tensors).logits(batch)
        plain = METHODS["zero-shot"].cls(METHODS["zero-shot"].cls.Config(), backbone, CLASSES).eval().logits(batch)
    torch.testing.assert_close(logits, expected, atol=1e-4, rtol=1e-4)
    assert (expected - plain).abs().max() > 0.01, "the module must matter"


def test_what_the_file_does_not_say_is_said(tmp_path):
    torch.save(taskres({"residual": torch.zeros(3, 8)}), tmp_path / "x.pt")
    assert "the scale 0.5" in read_module(tmp_path / "x.pt", METHODS).note


def test_prompts_in_different_numbers_of_layers_are_not_promptsrcs(tmp_path):
    tensors = {
        "prompts.context": torch.zeros(4, 8),
        "prompts.text": torch.zeros(2, 4, 8),
        "prompts.image": torch.zeros(2, 4, 9),
    }
    torch.save(promptsrc(tensors), tmp_path / "x.pt")
    with pytest.raises(UserError, match="different numbers of layers"):
        read_module(tmp_path / "x.pt", METHODS)


def test_a_hidden_layer_that_no_reduction_gives(tmp_path):
    torch.save({"fc.0.weight": torch.zeros(20, 30), "fc.2.weight": torch.zeros(30, 20)}, tmp_path / "x.pt")
    with pytest.raises(UserError, match="not d / r for any whole r"):
        read_module(tmp_path / "x.pt", METHODS)


# --- Tip-Adapter-F: a file with one tensor -----------------------------------------------------------------------------

LABELS = torch.tensor([0, 0, 1, 1, 2, 2, 3, 3])


def shown(backbone):
    features = torch.randn(1, len(LABELS), backbone.embed_dim, generator=torch.Generator().manual_seed(4))
    return FewShots(LABELS, lambda views: features)


@pytest.mark.parametrize("half", [False, True])
def test_tip_adapter_f(half, backbones, tmp_path):
    """``best_F_2shots.pt`` is the weight of a linear layer: 100 f W^T + alpha exp(-beta (1 - f F^T)) V, for CLIP's scale."""
    backbone, generator = backbones["native"], torch.Generator().manual_seed(5)
    weight = torch.randn(len(LABELS), backbone.embed_dim, generator=generator).half() * 0.3
    torch.save(torch.nn.Parameter(weight if half else weight.float()), tmp_path / "best_F_2shots.pt")
    found = read_module(tmp_path / "best_F_2shots.pt", METHODS)
    assert found.method == "tip-adapter-f-old-keys"
    assert "alpha 1.17 and beta 1" in found.note
    cls = METHODS[found.method].cls
    method = attach(cls, cls.Config(), backbone, CLASSES, found.tensors, shown(backbone))
    features = torch.randn(5, backbone.embed_dim, generator=generator)
    unit = features / features.norm(dim=1, keepdim=True)
    with torch.no_grad():
        texts = torch.nn.functional.normalize(backbone.encode_texts(CLASSES.texts()), dim=1)
        near = torch.exp(-(1 - unit @ weight.float().T)) @ torch.nn.functional.one_hot(LABELS).float()
        scale = backbone.logit_scale
        expected = scale * unit @ texts.T + scale / 100 * 1.17 * near
        logits = method.logits(Batch(torch.zeros(5, dtype=torch.long), features=features))
    torch.testing.assert_close(logits, expected, atol=1e-4, rtol=1e-4)
    few = FewShots(LABELS[:6], lambda views: torch.randn(1, 6, backbone.embed_dim))
    with pytest.raises(Incompatible, match="kept is 8 x 32 in the module but must be 6 x 32"):
        attach(cls, cls.Config(), backbone, CLASSES, found.tensors, few)


def test_the_keys_of_tip_adapter_are_no_module(tmp_path):
    """``keys_2shots.pt`` holds normalised features in columns, and nothing was learnt in it."""
    torch.save(torch.nn.functional.normalize(torch.randn(32, 8), dim=0).half(), tmp_path / "keys_2shots.pt")
    with pytest.raises(UserError, match="keys of Tip-Adapter itself, in which nothing is learnt"):
        read_module(tmp_path / "keys_2shots.pt", METHODS)
