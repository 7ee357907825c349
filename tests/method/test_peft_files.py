"""Adapters of PEFT: real ones are read with equal logits, and real PEFT reads what is written here."""

from __future__ import annotations

import json
import math

import pytest
import torch
from fixtures import hf
from safetensors.torch import load_file, save_file

import benchmark
from benchmark.backbones.clip import Backbone
from benchmark.config.errors import UserError
from benchmark.config.schema import BackboneSpec
from benchmark.data.batch import Batch, ClassList
from benchmark.method.peft_files import CONFIG, WEIGHTS, Adapter, Change, adapter_of, write_adapter
from benchmark.method.registry import methods
from benchmark.method.terms import Incompatible
from benchmark.training.modules import attach

transformers = pytest.importorskip("transformers", reason="the extra hf is not installed")
peft = pytest.importorskip("peft", reason="the extra hf is not installed")

NAMES, TEMPLATE = ("cat", "sea", "red dog"), "a photo of a {}."
KINDS = {
    "defaults": {"target_modules": ["q_proj", "v_proj"]},
    "patterns": {
        "target_modules": ["q_proj", "fc1", "fc2"],
        "rank_pattern": {"fc1": 2, "vision_model.encoder.layers.1.self_attn.q_proj": 7},
        "alpha_pattern": {"text_model.encoder.layers.0.mlp.fc1": 3, "fc2": 5},
    },
    "rslora": {"target_modules": ["k_proj", "out_proj"], "use_rslora": True},
    "dora": {"target_modules": "all-linear", "use_dora": True},
    "some layers": {"target_modules": ["q_proj"], "layers_to_transform": [1]},
    "regular expression": {"target_modules": r"text_model.*\.1\..*(q|k)_proj"},
    "projections": {"target_modules": ["text_projection", "visual_projection"]},
}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A small CLIPModel with random weights in a folder, and the folder."""
    torch.manual_seed(1)
    text = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    vision = {"hidden_size": 48, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 3}
    config = transformers.CLIPConfig(
        text_config={**text, "max_position_embeddings": 24},
        vision_config={**vision, "image_size": 32, "patch_size": 16},
        projection_dim=24,
    )
    folder = tmp_path_factory.mktemp("hf") / "clip"
    transformers.CLIPModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def backbone(model) -> Backbone:
    return Backbone.load("small", BackboneSpec(model=f"local-dir:{model}"))


def adapted(model, folder, **settings):
    """A PeftModel whose matrices are random, saved in a folder."""
    base = transformers.CLIPModel.from_pretrained(model)
    found = peft.get_peft_model(base, peft.LoraConfig(r=4, lora_alpha=8, **settings)).eval()
    generator = torch.Generator().manual_seed(2)
    for name, value in found.named_parameters():
        if "lora_" in name:
            value.data += 0.2 * torch.randn(value.shape, generator=generator)
    found.save_pretrained(folder)
    return found


def logits(model, backbone):
    """What transformers computes for the classes and three random images."""
    ids = backbone.tokenizer([TEMPLATE.format(name) for name in NAMES])
    with torch.no_grad():
        return model(input_ids=ids, pixel_values=pixels()).logits_per_image


def pixels():
    return torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(3))


def close(found, expected):
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_both_directions(kind, model, backbone, tmp_path):
    theirs = adapted(model, tmp_path / "adapter", **KINDS[kind])
    expected = logits(theirs, backbone)
    assert (expected - logits(transformers.CLIPModel.from_pretrained(model), backbone)).abs().max() > 0.05, "it must matter"
    module = benchmark.load_module(tmp_path / "adapter")
    close(module.on(backbone, NAMES, template=TEMPLATE).logits(pixels()), expected)
    written = module.module.cls.as_peft(module.module.config, module.module.tensors)
    (tmp_path / "back").mkdir()
    (tmp_path / "back" / CONFIG).write_text(json.dumps(written["adapter_config"]))
    save_file({n: v.contiguous() for n, v in written["state_dict"].items()}, tmp_path / "back" / WEIGHTS)
    base = transformers.CLIPModel.from_pretrained(model)
    close(logits(peft.PeftModel.from_pretrained(base, tmp_path / "back").eval(), backbone), expected)


def test_both_directions_on_siglip(tmp_path):
    """Also the projection of the text tower, which has another name and a bias there."""
    folder = hf.siglip(tmp_path / "siglip")
    backbone, base = hf.load(folder), transformers.SiglipModel.from_pretrained
    config = peft.LoraConfig(r=4, lora_alpha=8, target_modules=r"text_model\.(head|.*(q_proj|fc1))")
    theirs = peft.get_peft_model(base(folder), config).eval()
    for name, value in theirs.named_parameters():
        if "lora_B" in name:
            value.data += 0.2 * torch.randn(value.shape, generator=torch.Generator().manual_seed(2))
    theirs.save_pretrained(tmp_path / "adapter")

    def texts(model):
        ids = backbone.tokenizer([TEMPLATE.format(name) for name in NAMES])
        return hf.features(model, ids, pixels())[0]

    module = benchmark.load_module(tmp_path / "adapter")
    on = module.on(backbone, NAMES, template=TEMPLATE).method
    assert (texts(base(folder)) - texts(theirs)).abs().max() > 0.05, "it must matter"
    close(on.class_features(), texts(theirs))
    written = on.as_peft(module.module.config, module.module.tensors, siglip=True)
    assert any("text_model.head" in name for name in written["state_dict"])
    (tmp_path / "back").mkdir()
    (tmp_path / "back" / CONFIG).write_text(json.dumps(written["adapter_config"]))
    save_file({n: v.contiguous() for n, v in written["state_dict"].items()}, tmp_path / "back" / WEIGHTS)
    close(texts(peft.PeftModel.from_pretrained(base(folder), tmp_path / "back").eval()), texts(theirs))


def test_what_this_suite_has_learnt_is_read_by_peft(model, backbone, tmp_path):
    """CLIP-LoRA of both towers, whose scale is rsLoRA's."""
    clip_lora = methods()["clip-lora"].cls
    config = clip_lora.Config(rank=3, alpha=2.0)
    method = clip_lora(config, backbone, ClassList(NAMES, TEMPLATE, "a photo of a"))
    tensors = {name: torch.randn(value.shape) * 0.2 for name, value in method.tensors().items()}
    ours = attach(clip_lora, config, backbone, method.classes, tensors)
    written = clip_lora.as_peft(config, tensors)
    (tmp_path / CONFIG).write_text(json.dumps(written["adapter_config"]))
    save_file({n: v.contiguous() for n, v in written["state_dict"].items()}, tmp_path / WEIGHTS)
    theirs = peft.PeftModel.from_pretrained(transformers.CLIPModel.from_pretrained(model), tmp_path).eval()
    with torch.no_grad():
        close(ours.logits(Batch(torch.zeros(3, dtype=torch.long), pixels=pixels())), logits(theirs, backbone))


def test_an_adapter_of_the_image_tower_alone(model, backbone, tmp_path):
    """A model of its own in transformers, whose names lack the tower."""
    whole = transformers.CLIPModel.from_pretrained(model)
    tower = transformers.CLIPVisionModelWithProjection(whole.config.vision_config).eval()
    tower.vision_model, tower.visual_projection = whole.vision_model, whole.visual_projection
    theirs = peft.get_peft_model(tower, peft.LoraConfig(r=4, target_modules=["q_proj"])).eval()
    for name, value in theirs.named_parameters():
        if "lora_B" in name:
            value.data += 0.3
    theirs.save_pretrained(tmp_path)
    on = benchmark.load_module(tmp_path).on(backbone, NAMES, template=TEMPLATE)
    with torch.no_grad():
        features = torch.nn.functional.normalize(theirs(pixels()).image_embeds, dim=-1)
        texts = torch.nn.functional.normalize(backbone.encode_texts([TEMPLATE.format(name) for name in NAMES]), dim=-1)
        close(on.logits(pixels()), backbone.logit_scale * features @ texts.T)


def test_it_changes_another_backbone_too(model, backbones, tmp_path):
    """The text tower of the tiny CLIPs has the same sizes; EVA's image tower has other maps, which is said."""
    adapted(model, tmp_path / "text", target_modules=r"text_model.*q_proj")
    module = benchmark.load_module(tmp_path / "text")
    found = module.on(backbones["eva"], NAMES, template=TEMPLATE).logits(torch.randn(2, 3, 32, 32))
    assert torch.isfinite(found).all()
    adapted(model, tmp_path / "both", target_modules=["fc1"])
    with pytest.raises(Incompatible, match=r"vision_\*_fc1|must be"):
        benchmark.load_module(tmp_path / "both").on(backbones["eva"], NAMES)


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(model, tmp_path):
    adapted(model, tmp_path, target_modules=["q_proj"])
    return tmp_path


def refusal(folder) -> str:
    with pytest.raises(UserError) as caught:
        benchmark.load_module(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


REFUSED = {
    "another kind": ({"peft_type": "IA3"}, "an adapter of the kind IA3; only LORA is read"),
    "whole modules": (
        {"modules_to_save": ["visual_projection"]},
        "replaces whole modules of the backbone (visual_projection)",
    ),
    "biases": ({"bias": "lora_only"}, "trains biases (bias is 'lora_only')"),
    "biases of its own": ({"lora_bias": True}, "has biases of its own"),
    "no rank": ({"r": None}, "adapter_config.json has no rank r"),
    "a bad pattern": ({"alpha_pattern": {"(": 3}}, "its pattern '(' cannot be read"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_settings_that_are_refused(folder, kind):
    changes, message = REFUSED[kind]
    file = folder / CONFIG
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    assert message in refusal(folder)


def test_a_map_that_is_not_known_is_named(folder):
    tensors = load_file(folder / WEIGHTS)
    stem = "base_model.model.text_model.embeddings.token_embedding"
    tensors |= {f"{stem}.lora_A.weight": torch.zeros(2, 3), f"{stem}.lora_B.weight": torch.zeros(3, 2)}
    save_file(tensors, folder / WEIGHTS)
    assert "it changes text_model.embeddings.token_embedding; what is known in the towers is" in refusal(folder)


def test_half_a_map_is_named(folder):
    tensors = load_file(folder / WEIGHTS)
    save_file({name: value for name, value in tensors.items() if not name.endswith("lora_B.weight")}, folder / WEIGHTS)
    assert "has no lora_A or no lora_B" in refusal(folder)


def test_folders_that_are_none(folder):
    assert "is a folder without adapter_config.json" in refusal(folder.parent)
    (folder / WEIGHTS).unlink()
    assert "is a folder without adapter_model.safetensors (fix: copy the whole folder" in refusal(folder)
    (folder / CONFIG).write_text("{")
    (folder / WEIGHTS).write_bytes(b"x")
    assert "is not JSON with settings" in refusal(folder)


def test_the_folder_of_one_of_our_modules_names_the_file(tmp_path):
    (tmp_path / "module.safetensors").write_bytes(b"")
    assert f"(fix: name {tmp_path / 'module.safetensors'})" in refusal(tmp_path)


# --- the mapping alone ------------------------------------------------------------------------------------------------


def test_what_is_written_is_read_again():
    changes = {
        "text_0_q": Change(torch.randn(2, 8), torch.randn(8, 2), 4.0),
        "vision_11_fc2": Change(torch.randn(3, 32), torch.randn(8, 3), 1.5),
        "text_projection": Change(torch.randn(2, 8), torch.randn(6, 2), 4.0),
    }
    again = adapter_of(write_adapter(Adapter(changes, 2, 4.0, rslora=True)))
    assert (again.rank, again.alpha, again.rslora, again.targets) == (
        2,
        4.0,
        True,
        ("text_*_q", "vision_*_fc2", "text_projection"),
    )
    for key, change in changes.items():
        assert again.changes[key].alpha == change.alpha
        assert torch.equal(again.changes[key].up, change.up)


def test_other_checkpoints_are_none():
    assert adapter_of({"state_dict": {}}) is None
    assert adapter_of({"adapter_config": "text", "state_dict": {}}) is None


def test_the_scale_is_pefts(model, backbone, tmp_path):
    """By hand, on one map: alpha / r, or alpha / sqrt(r)."""
    for rslora in (False, True):
        adapted(model, tmp_path / str(rslora), target_modules=["q_proj"], use_rslora=rslora)
        on = benchmark.load_module(tmp_path / str(rslora)).on(backbone, NAMES)
        assert on.method.lora.scales["text_0_q"] == (8 / math.sqrt(4) if rslora else 8 / 4)
