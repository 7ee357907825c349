"""Checkpoints in the forms of the official codes, written and evaluated here once more in straight lines."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
import torch
from fixtures.official_checkpoints import (
    UnusedParts,
    dassl,
    lora_file,
    merged,
    official_logits,
    random_learner,
    refusal,
    save,
)
from safetensors.torch import save_file
from torch import nn

from benchmark.data.batch import Batch, ClassList
from benchmark.experiment.plan import restore
from benchmark.experiment.store import MODULE, Store
from benchmark.method import registry
from benchmark.method.checkpoints import HEADER, module_file, read_module
from benchmark.method.terms import Incompatible
from benchmark.training.modules import attach

METHODS = registry.methods()
NAMES = ("red dog", "cat", "blue_bird", "lorry")
CLASSES = ClassList(NAMES, "a photo of a {}.", "a photo of a")
TRAINING_NAMES = ("house", "a tree", "boat")


# --- helpers -----------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["native", "eva"])
def target(request, load_backbone):
    """The backbone to evaluate on, in double precision: random towers amplify the rounding of single precision."""
    loaded = load_backbone(request.param)
    loaded.model.double()
    return loaded


@pytest.fixture
def pixels():
    return torch.randn(5, 3, 32, 32, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def imported(file, target, pixels):
    """The module in ``file``, and its logits on ``target``."""
    module = read_module(file, METHODS)
    assert all(value.dtype == torch.float32 and not value.requires_grad for value in module.tensors.values())
    cls = METHODS[module.method].cls
    method = attach(cls, restore(cls, module.settings), target, CLASSES, module.tensors).double()
    with torch.no_grad():
        features = target.model.encode_image(pixels)
        batch = Batch(torch.zeros(len(pixels), dtype=torch.long), features=features, pixels=pixels)
        if method.needs_pixels:
            batch = Batch(batch.labels, pixels=pixels)
        return SimpleNamespace(module=module, logits=method.logits(batch), features=features)


def same(found, expected):
    assert expected.std() > 0.1
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


# --- the CoOp family ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["dassl", "parallel", "bare", "half", "safetensors"])
def test_coop(form, target, backbones, pixels, tmp_path):
    """Trained on one backbone and other classes; token_prefix and token_suffix of those must have no say."""
    state = random_learner(backbones["native"], n_ctx=6).state_dict()
    assert state.keys() == {"ctx", "token_prefix", "token_suffix"}
    if form == "half":
        state = {name: value.half() for name, value in state.items()}
    stored = {f"module.{name}": value for name, value in state.items()} if form == "parallel" else state
    if form == "safetensors":
        save_file({name: value.contiguous() for name, value in stored.items()}, file := tmp_path / "prompt.safetensors")
    else:
        file = save(stored if form == "bare" else dassl(stored), tmp_path / "model.pth.tar-5")
    found = imported(file, target, pixels)
    assert found.module.method == "coop"
    assert found.module.settings == {"n_ctx": 6}
    assert list(found.module.tensors) == ["context"]
    same(found.logits, official_logits(state, target, found.features, n_ctx=6))


@pytest.mark.parametrize("half", [False, True])
def test_cocoop(half, target, backbones, pixels, tmp_path):
    learner = random_learner(backbones["native"], meta_net=True)
    learner = learner.half() if half else learner
    file = save(dassl(learner.state_dict()), tmp_path / "model.pth.tar-10")
    found = imported(file, target, pixels)
    assert found.module.method == "cocoop"
    assert found.module.settings == {"n_ctx": 4, "reduction": 16}
    same(found.logits, official_logits(learner.state_dict(), target, found.features, meta_net=True))


def test_cocoop_with_another_reduction(tmp_path):
    """The hidden layer's size sets the reduction."""
    sizes = {"ctx": (4, 32), "meta_net.linear1.weight": (7, 30), "meta_net.linear1.bias": (7,)}
    sizes |= {"meta_net.linear2.weight": (32, 7), "meta_net.linear2.bias": (32,)}
    state = {name: torch.zeros(size) for name, size in sizes.items()}
    settings = read_module(save(dassl(state), tmp_path / "a"), METHODS).settings
    assert 30 // settings["reduction"] == 7
    state["meta_net.linear1.weight"] = torch.zeros(20, 30)
    assert "not d / r for any whole r" in refusal(save(dassl(state), tmp_path / "b"))


@pytest.mark.parametrize("depth", [1, 2])
def test_kgcoop(depth, target, backbones, pixels, tmp_path):
    """Its context is a prompt like CoOp's; its square meta_net is not CoCoOp's."""
    learner = random_learner(backbones["native"])
    state = learner.state_dict() | UnusedParts(depth).state_dict()
    found = imported(save(dassl(state), tmp_path / "model.pth.tar-100"), target, pixels)
    assert (found.module.method, found.module.settings) == ("kgcoop", {"n_ctx": 4})
    assert all(name in found.module.note for name in UnusedParts(depth).state_dict())
    same(found.logits, official_logits(learner.state_dict(), target, found.features))


def test_a_network_that_does_not_narrow_is_not_cocoops(backbones, tmp_path):
    """Even where nothing else tells KgCoOp's file from CoCoOp's."""
    unused = {name: value for name, value in UnusedParts(2).state_dict().items() if name.startswith("meta_net")}
    state = random_learner(backbones["native"]).state_dict() | unused
    module = read_module(save(dassl(state), tmp_path / "model.pth.tar-100"), METHODS)
    assert module.method == "kgcoop"
    assert "meta_net.linear2.weight" in module.note


def test_contexts_of_training_classes(target, backbones, pixels, tmp_path):
    """One context for each class, in the order of the classes."""
    contexts = torch.randn(len(CLASSES.names), 4, 32, generator=torch.Generator().manual_seed(3))
    found = imported(save(dassl({"ctx": contexts}), tmp_path / "csc.pth"), target, pixels)
    assert (found.module.method, found.module.settings) == ("coop-csc", {"n_ctx": 4})
    for label, context in enumerate(contexts):
        one = official_logits({"ctx": context}, target, found.features)
        same(found.logits[:, label], one[:, label])


def test_a_context_of_another_width_does_not_fit(backbones, tmp_path):
    module = read_module(save(dassl({"ctx": torch.zeros(4, 48)}), tmp_path / "wide.pth"), METHODS)
    cls = METHODS[module.method].cls
    with pytest.raises(Incompatible, match="context is 4 x 48 in the module but must be 4 x 32 on native"):
        attach(cls, restore(cls, module.settings), backbones["native"], CLASSES, module.tensors)


# --- CLIP-LoRA ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"position": "half-up", "params": ("q", "v", "o"), "r": 3, "alpha": 4},
        {"position": "half-bottom", "params": ("o",), "r": 1},
        {"encoder": "text", "params": ("k",)},
        {"encoder": "vision", "position": "half-up", "dtype": torch.float16},
    ],
    ids=["defaults", "half-up", "half-bottom", "text", "vision"],
)
def test_clip_lora(settings, target, pixels, tmp_path):
    """The native towers have one width, the others two: the border between them is found either way."""
    content = lora_file(target.model, **settings)
    found = imported(save(content, tmp_path / "lora_weights.pt"), target, pixels)
    about = content["metadata"]
    assert found.module.method == "clip-lora"
    roles = ["out" if letter == "o" else letter for letter in about["params"]]
    assert found.module.settings == {
        "encoder": about["encoder"],
        "position": about["position"],
        "roles": roles,
        "rank": about["r"],
        "alpha": about["alpha"],
    }
    model = merged(target.model, content)
    with torch.no_grad():
        images = model.encode_image(pixels)
        texts = model.encode_text(target.tokenizer([f"a photo of a {name.replace('_', ' ')}." for name in NAMES]))
        expected = model.logit_scale.exp() * nn.functional.normalize(images) @ nn.functional.normalize(texts).T
    same(found.logits, expected)


@pytest.mark.parametrize(
    ("position", "text", "vision"),
    [
        ("all", range(12), range(12)),
        ("bottom", range(4), range(4)),
        ("mid", range(4, 8), range(4, 8)),
        ("up", range(8, 12), range(8, 12)),
        ("half-bottom", range(6), range(6)),
        ("half-up", range(6, 12), range(6, 12)),
        ("top3", range(9, 12), range(9, 12)),
        ("top2", range(10, 12), range(10, 12)),
        ("top1", range(11, 12), range(11, 12)),
        ("top", range(11, 12), range(11, 12)),
        ("all", range(12), range(24)),
        ("half-bottom", range(6), range(12)),
        ("half-up", range(6, 12), range(12, 24)),
    ],
)
def test_clip_lora_layers_of_real_towers(position, text, vision, tmp_path):
    """The official sets of layers on ViT-B and, where they are defined, on ViT-L."""
    sites = [("text", layer, 5) for layer in text] + [("vision", layer, 7) for layer in vision]
    weights = {
        f"layer_{i}": {"v_proj": {"w_lora_A": torch.full((2, width), float(i)), "w_lora_B": torch.zeros(width, 2)}}
        for i, (_, _, width) in enumerate(sites)
    }
    metadata = {"r": 2, "alpha": 1, "encoder": "both", "params": ["v"], "position": position}
    module = read_module(save({"weights": weights, "metadata": metadata}, tmp_path / "lora_weights.pt"), METHODS)
    assert len(module.tensors) == 2 * len(sites)
    for i, (tower, layer, width) in enumerate(sites):
        assert torch.equal(module.tensors[f"lora.down.{tower}_{layer}_v"], torch.full((2, width), float(i)))
        assert module.tensors[f"lora.up.{tower}_{layer}_v"].shape == (width, 2)


@pytest.mark.parametrize(("position", "vision"), [("all", range(21)), ("half-up", range(6, 12)), ("bottom", range(4))])
def test_clip_lora_layers_that_a_list_for_vit_l_leaves_out(position, vision, tmp_path):
    """They are unchanged, and the module still fits the 24 layers."""
    text = {"all": range(12), "half-up": range(6, 12), "bottom": range(4)}[position]
    sites = [("text", 768)] * len(text) + [("vision", 1024)] * len(vision)
    weights = {
        f"layer_{i}": {"q_proj": {"w_lora_A": torch.zeros(2, width), "w_lora_B": torch.zeros(width, 2)}}
        for i, (_, width) in enumerate(sites)
    }
    metadata = {"r": 2, "alpha": 1, "encoder": "both", "params": ["q"], "position": position}
    module = read_module(save({"weights": weights, "metadata": metadata}, tmp_path / "lora_weights.pt"), METHODS)
    assert module.settings["vision_layers"] == list(vision)
    layers = [("text", layer) for layer in text] + [("vision", layer) for layer in vision]
    assert module.tensors.keys() == {f"lora.{part}.{tower}_{layer}_q" for part in ("down", "up") for tower, layer in layers}


def test_clip_lora_on_chosen_layers_of_the_image_tower(backbones):
    cls = METHODS["clip-lora"].cls
    method = cls(cls.Config(vision_layers=[1]), backbones["native"], CLASSES)
    assert {site.layer for site in method.sites if site.tower == "vision"} == {1}
    assert "has only" in cls.incompatibility(cls.Config(vision_layers=[99]), backbones["native"])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda file: file["metadata"].update(position="top9"), "'top9'"),
        (lambda file: file["metadata"].update(encoder="audio"), "'audio'"),
        (lambda file: file["metadata"].update(r=4), "not of the rank 4"),
        (lambda file: file["weights"]["layer_1"].pop("q_proj"), "same known projections"),
        (lambda file: file["weights"]["layer_0"].update(q_proj={}), "KeyError"),
        (lambda file: file["weights"].pop("layer_0"), "is not a checkpoint of any method"),
    ],
    ids=["position", "encoder", "rank", "roles", "matrix", "layer"],
)
def test_clip_lora_files_that_cannot_be(change, words, backbones, tmp_path):
    content = lora_file(backbones["native"].model)
    change(content)
    assert words in refusal(save(content, tmp_path / "lora_weights.pt"))


# --- our own modules ---------------------------------------------------------------------------------------------------


@pytest.fixture
def stored(backbones, tmp_path):
    """A module as the suite stores it, and the folder."""
    cls = METHODS["cocoop"].cls
    torch.manual_seed(3)
    config = cls.Config(n_ctx=5, reduction=8)
    method = cls(config, backbones["native"], CLASSES).eval()
    tensors = method.tensors()
    about = {
        "method": "cocoop",
        "settings": config.model_dump(mode="json"),
        "backbone": {"name": "native", "digest": "0"},
        "tensors": {name: list(value.shape) for name, value in tensors.items()},
    }
    store = Store(tmp_path)
    store.write("0" * 20, {}, "ok", files={MODULE: module_file(tensors, about)})
    return SimpleNamespace(method=method, tensors=tensors, about=about, folder=store.folder("0" * 20))


def test_a_stored_module(stored):
    module = read_module(stored.folder / "module.safetensors", METHODS)
    assert (module.method, module.settings) == ("cocoop", stored.about["settings"])
    assert module.tensors.keys() == stored.tensors.keys()
    assert all(torch.equal(value, stored.tensors[name]) for name, value in module.tensors.items())
    assert "native" in module.note


@pytest.mark.parametrize("form", ["header", "file"])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"method": "cocop"}, "did you mean 'cocoop'?"),
        ({"settings": {"n_ctxx": 4}}, "unknown key 'n_ctxx'"),
        ({"tensors": {"context": [4, 32]}}, "context is"),
        ({"settings": None}, "does not describe a module"),
        (None, "does not describe a module"),
    ],
    ids=["method", "setting", "shape", "none", "torn"],
)
def test_a_stored_module_that_is_not_what_it_says(change, words, form, stored):
    """The description is in the file's header; earlier versions put it into a file next to the module."""
    text = "{" if change is None else json.dumps(stored.about | change)
    file = stored.folder / "module.safetensors"
    save_file(stored.tensors, file, {HEADER: text} if form == "header" else None)
    if form == "file":
        (stored.folder / "module.json").write_text(text)
    assert words in refusal(file)


def test_a_module_of_an_earlier_version(stored):
    save_file(stored.tensors, stored.folder / "module.safetensors")
    (stored.folder / "module.json").write_text(json.dumps(stored.about))
    module = read_module(stored.folder / "module.safetensors", METHODS)
    assert (module.method, module.settings, module.described) == ("cocoop", stored.about["settings"], stored.about)


def test_a_stored_module_without_its_description(stored):
    save_file(stored.tensors, stored.folder / "module.safetensors")
    assert "or a module.safetensors of this suite" in refusal(stored.folder / "module.safetensors")
