"""Checkpoints in the forms of the official codes, written and evaluated here once more in straight lines."""

from __future__ import annotations

import copy
import json
import math
import os
import pickle
import subprocess
import sys
from collections import OrderedDict
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from fixtures.checkout import ROOT
from safetensors.torch import save_file
from torch import nn

from benchmark.config.errors import UserError
from benchmark.data.batch import Batch, ClassList
from benchmark.experiment.plan import restore
from benchmark.experiment.store import Store
from benchmark.method import registry
from benchmark.method.base import Incompatible
from benchmark.method.checkpoints import HEADER, read_module
from benchmark.training.modules import attach

METHODS = registry.methods()
NAMES = ("red dog", "cat", "blue_bird", "lorry")
CLASSES = ClassList(NAMES, "a photo of a {}.", "a photo of a")
TRAINING_NAMES = ("house", "a tree", "boat")


# --- the official codes, in straight lines ---------------------------------------------------------------------------


def text_part(model):
    return getattr(model, "text", model)


class PromptLearner(nn.Module):
    """State dict and prompts of the CoOp family's ``prompt_learner``; the buffers belong to the classes."""

    def __init__(self, backbone, names, ctx, *, meta_net=False):
        super().__init__()
        self.ctx = nn.Parameter(ctx)
        count = ctx.shape[-2]
        self.ids = backbone.tokenizer([" ".join(["X"] * count) + f" {name.replace('_', ' ')}." for name in names])
        embedded = text_part(backbone.model).token_embedding(self.ids).detach()
        self.register_buffer("token_prefix", embedded[:, :1])
        self.register_buffer("token_suffix", embedded[:, 1 + count :])
        if meta_net:
            d, d_t = backbone.embed_dim, ctx.shape[-1]
            layers = ("linear1", nn.Linear(d, d // 16)), ("relu", nn.ReLU()), ("linear2", nn.Linear(d // 16, d_t))
            self.meta_net = nn.Sequential(OrderedDict(layers))

    def texts(self, model, ctx):
        """Text features (C, d) of [prefix | ctx | suffix]."""
        text, count = text_part(model), len(self.ids)
        x = torch.cat([self.token_prefix, ctx.expand(count, -1, -1), self.token_suffix], dim=1)
        x = text.ln_final(text.transformer(x + text.positional_embedding, attn_mask=text.attn_mask))
        return x[torch.arange(count), self.ids.argmax(1)] @ text.text_projection

    def logits(self, model, features):
        """Image by image; with a meta_net each has a context of its own."""
        rows = []
        for feature in features:
            feature = feature / feature.norm()
            ctx = self.ctx + self.meta_net(feature) if hasattr(self, "meta_net") else self.ctx
            texts = self.texts(model, ctx)
            rows.append(model.logit_scale.exp() * texts @ feature / texts.norm(dim=1))
        return torch.stack(rows)


class UnusedParts(nn.Module):
    """What KgCoOp's ``prompt_learner`` has beside the context."""

    def __init__(self, depth):
        super().__init__()
        self.bias_vectors = nn.Parameter(torch.randn(1, 32))
        layers = [(f"linear{number}", nn.Linear(32, 32)) for number in range(1, depth + 1)]
        self.meta_net = nn.Sequential(OrderedDict(layers))
        self.adapter = nn.Module()
        self.adapter.fc = nn.Sequential(nn.Linear(32, 8, bias=False), nn.ReLU(), nn.Linear(8, 32, bias=False))


def random_learner(backbone, *, seed=0, n_ctx=4, **options):
    """A learner trained on other classes, as far as random numbers can be called training."""
    torch.manual_seed(seed)
    learner = PromptLearner(backbone, TRAINING_NAMES, torch.zeros(n_ctx, 32), **options)
    with torch.no_grad():
        for parameter in learner.parameters():
            parameter.normal_(std=0.3)
    return learner


def dassl(state, **more):
    """A checkpoint as Dassl writes it, with nothing odd in it."""
    return {"state_dict": state, "epoch": 5, "optimizer": {}, "scheduler": {}, "val_result": None} | more


def official_logits(saved, target, features, *, n_ctx=4, meta_net=False):
    """What the official code would do on ``target``: built anew for its classes, then loaded without the buffers."""
    learner = PromptLearner(target, NAMES, torch.zeros(n_ctx, 32), meta_net=meta_net)
    learned = {name: value for name, value in saved.items() if not name.startswith("token_")}
    missing, _ = learner.load_state_dict(learned, strict=False)
    assert all(name.startswith("token_") for name in missing)
    with torch.no_grad():
        return learner.double().logits(target.model, features)


OFFICIAL_LAYERS = {
    "all": lambda n: range(n),
    "half-up": lambda n: range(n // 2, n),
    "half-bottom": lambda n: range(n // 2),
}


def attentions(model, encoder, position):
    """Chosen attention blocks, the text tower's first."""
    found = []
    for tower in ("text", "vision"):
        if encoder in (tower, "both"):
            if tower == "text":
                blocks = text_part(model).transformer.resblocks
            else:
                blocks = model.visual.trunk.blocks if hasattr(model.visual, "trunk") else model.visual.transformer.resblocks
            found += [blocks[i].attn for i in OFFICIAL_LAYERS[position](len(blocks))]
    return found


def lora_file(model, *, encoder="both", position="all", params=("q", "k", "v"), r=2, alpha=1, dtype=torch.float32):
    """A file as the official CLIP-LoRA writes it, with random matrices for ``model``'s attention."""
    torch.manual_seed(0)
    weights = {}
    for i, attention in enumerate(attentions(model, encoder, position)):
        d = attention.out_proj.in_features if hasattr(attention, "out_proj") else attention.proj.in_features
        names = ["proj" if letter == "o" else f"{letter}_proj" for letter in params]
        weights[f"layer_{i}"] = {
            name: {"w_lora_A": (torch.randn(r, d) / 8).to(dtype), "w_lora_B": (torch.randn(d, r) / 8).to(dtype)}
            for name in names
        }
    metadata = {"r": r, "alpha": alpha, "encoder": encoder, "params": list(params), "position": position}
    return {"weights": weights, "metadata": metadata}


def merged(model, file):
    """A copy of ``model`` whose projections have alpha / sqrt(r) B A added."""
    about, result = file["metadata"], copy.deepcopy(model)
    for i, attention in enumerate(attentions(result, about["encoder"], about["position"])):
        for name, pair in file["weights"][f"layer_{i}"].items():
            change = about["alpha"] / math.sqrt(about["r"]) * pair["w_lora_B"].double() @ pair["w_lora_A"].double()
            with torch.no_grad():
                if not hasattr(attention, "in_proj_weight"):
                    getattr(attention, name).weight += change
                elif name == "proj":
                    attention.out_proj.weight += change
                else:
                    start = "qkv".index(name[0]) * len(change)
                    attention.in_proj_weight[start : start + len(change)] += change
    return result


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


def refusal(file, *, method=None, methods=METHODS):
    """The one line that a file is refused with."""
    with pytest.raises(UserError) as caught:
        read_module(file, methods, method)
    line = str(caught.value)
    assert "\n" not in line
    assert str(file.parent) in line
    return line


def save(content, file, **options):
    torch.save(content, file, **options)
    return file


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


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda file: file["metadata"].update(position="top1"), "'top1'"),
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


# --- pickles -----------------------------------------------------------------------------------------------------------


def trained_checkpoint():
    """A checkpoint with the live objects that Dassl's warm-up scheduler drags in, and with numbers of numpy's."""
    weight = nn.Parameter(torch.ones(4, 32))
    optimizer = torch.optim.SGD([weight], lr=0.1, momentum=0.9)
    successor = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10)
    weight.sum().backward()
    optimizer.step()
    scheduler = {"successor": successor, "warmup_epoch": 1, "last_epoch": 5, "base_lrs": [0.1], "cons_lr": 1e-5}
    results = {"scheduler": scheduler, "optimizer": optimizer.state_dict(), "val_result": np.float64(81.5)}
    return dassl({"ctx": weight.detach()}, **results)


@pytest.mark.parametrize("zipped", [True, False])
def test_optimisers_and_numbers_of_numpy_do_not_matter(zipped, tmp_path):
    content = trained_checkpoint()
    file = save(content, tmp_path / "model.pth.tar-5", _use_new_zipfile_serialization=zipped)
    with pytest.raises(pickle.UnpicklingError):  # as it is, torch refuses such a file
        torch.load(file, weights_only=True)
    files = [file]
    if not zipped:  # numpy 1 had another name for it
        old = file.read_bytes().replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
        assert old != file.read_bytes()
        files.append(tmp_path / "model.pth.tar-6")
        files[-1].write_bytes(old)
    for each in files:
        assert torch.equal(read_module(each, METHODS).tensors["context"], content["state_dict"]["ctx"])
    with pytest.raises(pickle.UnpicklingError):  # what was allowed was allowed for that one reading
        torch.load(file, weights_only=True)


class Payload:
    """Pickles to a call."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("how", ["zip", "legacy", "plain"])
@pytest.mark.parametrize("place", ["epoch", "scheduler", "state_dict"])
@pytest.mark.parametrize("function", [os.mkdir, exec])
def test_a_malicious_pickle_is_refused_and_not_executed(function, place, how, tmp_path):
    marker, file = tmp_path / "marker", tmp_path / "model.pth.tar-5"
    argument = str(marker) if function is os.mkdir else f"__import__('os').mkdir({str(marker)!r})"
    content = trained_checkpoint()
    if place == "epoch":
        content["epoch"] = Payload(function, argument)
    else:
        content[place]["extra"] = Payload(function, argument)
    if how == "plain":
        file.write_bytes(pickle.dumps({"epoch": Payload(function, argument)}, protocol=2))
    else:
        torch.save(content, file, _use_new_zipfile_serialization=how == "zip")
    line = refusal(file)
    assert not marker.exists()
    assert "refused, because it would call " in line
    assert function.__name__ in line
    if how != "plain":  # the payload works
        torch.load(file, weights_only=False)
        assert marker.is_dir()


def test_the_advice_for_a_refused_file_works(tmp_path):
    (tmp_path / "it's here").mkdir()
    file = save(dassl({"ctx": torch.ones(4, 32)}, cfg=SimpleNamespace(seed=1)), tmp_path / "it's here" / "model.pth.tar-5")
    line = refusal(file)
    assert "SimpleNamespace" in line
    command = line.split("tensors alone with python")[1].split(" and give ")[0]
    subprocess.run(f"{sys.executable} {command}", shell=True, check=True, cwd=ROOT)
    assert torch.equal(
        read_module(file.with_name("model.pth.tar-5.tensors.pt"), METHODS).tensors["context"], torch.ones(4, 32)
    )


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
    store.save_module("0" * 20, tensors, about)
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


# --- files that are none -----------------------------------------------------------------------------------------------


def test_missing_files_and_folders(tmp_path):
    assert "no such file" in refusal(tmp_path / "model.pth.tar-5")
    (tmp_path / "prompt_learner").mkdir()
    assert "is a folder" in refusal(tmp_path / "prompt_learner")


@pytest.mark.parametrize("name", ["model.pth.tar-5", "module.safetensors"])
def test_damaged_files(name, tmp_path):
    file = tmp_path / name
    if name.endswith("safetensors"):
        save_file({"ctx": torch.zeros(4, 32)}, file)
    else:
        torch.save(dassl({"ctx": torch.zeros(4, 32)}), file)
    whole = file.read_bytes()
    for content in (b"", b"hello, world", whole[: len(whole) // 2], whole[:-1], b"\x80\x02."):
        file.write_bytes(content)
        assert "is damaged or not a checkpoint" in refusal(file)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (torch.zeros(3), "holds a Tensor"),
        ([1, 2], "holds a list"),
        ({}, "it holds nothing"),
        ({"model": 1, "epoch": 2}, "it holds 'epoch', 'model'"),
        ({"state_dict": 3}, "is not a checkpoint of any method"),
        ({"state_dict": {"visual.proj": torch.zeros(2, 2)}}, "coop"),
        ({"state_dict": {"ctx": torch.zeros(4, 32), "prompts.0": torch.zeros(4, 32)}}, "is not a checkpoint of any method"),
        ({"weights": {}, "metadata": {}}, "is not a checkpoint of any method"),
        ({"state_dict": {"ctx": torch.tensor([[1.0, math.nan]])}}, "context has values that are not finite"),
    ],
)
def test_contents_that_are_no_module(content, words, tmp_path):
    assert words in refusal(save(content, tmp_path / "file.pt"))


@pytest.mark.parametrize("name", sorted(METHODS.plugins))
def test_no_method_takes_what_is_not_its_own(name):
    for content in ({}, {"state_dict": {}}, {"state_dict": None}, {"weights": [], "metadata": None}, {"x": torch.zeros(1)}):
        assert METHODS[name].cls.from_official(content) is None


def test_a_file_that_two_methods_would_take(tmp_path):
    text = (ROOT / "methods" / "coop.py").read_text()
    for name in ("one", "two"):
        own = text.replace('name="coop"', f'name="{name}"').replace('name="coop-csc"', f'name="{name}-csc"')
        (tmp_path / f"{name}.py").write_text(own)
    methods = registry.methods_in(tmp_path)
    file = save(dassl({"ctx": torch.zeros(4, 32)}), tmp_path / "model.pth.tar-5")
    assert "may be a module of one or two" in refusal(file, methods=methods)
    assert read_module(file, methods, "two").method == "two"
    with pytest.raises(UserError, match="unknown method 'three'"):
        read_module(file, methods, "three")


def test_a_method_that_fails_at_a_file_costs_itself_only(tmp_path):
    text = (ROOT / "methods" / "coop.py").read_text()
    (tmp_path / "one.py").write_text(text)
    text = text.replace('name="coop"', 'name="two"').replace('name="coop-csc"', 'name="two-csc"')
    text = text.replace("state = official_state(content)", "return content['no']")
    (tmp_path / "two.py").write_text(text)
    file = save(dassl({"ctx": torch.zeros(4, 32)}), tmp_path / "model.pth.tar-5")
    assert read_module(file, registry.methods_in(tmp_path)).method == "coop"
    assert "two: KeyError: 'no'" in refusal(file, methods=registry.methods_in(tmp_path), method="two")
