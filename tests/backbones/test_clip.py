"""The adapter over open_clip: same numbers as open_clip's own calls, whichever layout a model has."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from PIL import Image

from benchmark.backbones.clip import Backbone, digest
from benchmark.backbones.towers.attention import ROLES, adding, projections
from benchmark.config.errors import UserError
from benchmark.config.schema import BackboneSpec
from benchmark.training.checks.tiny_clips import CONFIGS, pictures

TEXTS = ["a photo of a cat.", "a red dog", "boat", "an icon of a blue bird house"]
CLOSE = {"atol": 1e-5, "rtol": 1e-5}
every_backbone = pytest.mark.parametrize("name", ["native", "eva", "narrow", "stem"])


@pytest.fixture
def double(load_backbone):
    """Load a backbone in double precision, so that differences are not rounding."""

    def load(name: str) -> Backbone:
        loaded = load_backbone(name)
        loaded.model.double()
        return loaded

    return load


def pixels(count: int = 3) -> torch.Tensor:
    return torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


# --- text ---------------------------------------------------------------------------------------------------------


@every_backbone
def test_text_features_are_open_clips(name, double):
    backbone = double(name)
    with torch.no_grad():
        expected = backbone.model.encode_text(backbone.tokenizer(TEXTS))
        torch.testing.assert_close(backbone.encode_texts(TEXTS), expected, atol=1e-9, rtol=1e-9)


@every_backbone
def test_padding_may_be_kept_or_cut(name, double):
    """A causal tower's output at end-of-text does not depend on what comes after, nor on how long it is."""
    backbone = double(name)
    ids = backbone.tokenizer(TEXTS)
    eot = ids.argmax(1)
    assert backbone.causal
    with torch.no_grad():
        whole = backbone.encode_embeddings(backbone.embed(ids), eot)
        for length in (int(eot.max()) + 1, int(eot.max()) + 3):
            cut = backbone.encode_embeddings(backbone.embed(ids[:, :length]), eot)
            torch.testing.assert_close(cut, whole, atol=1e-9, rtol=1e-9)
    assert backbone.tokenize(TEXTS).ids.shape[1] == int(eot.max()) + 1


@every_backbone
def test_end_of_text_is_found_in_each_row(name, backbones):
    backbone = backbones[name]
    tokens = backbone.tokenize(TEXTS)
    for row, text in enumerate(TEXTS):
        assert tokens.ids[row, tokens.eot[row]] == backbone.tokenizer.eot_token_id
        assert int(tokens.eot[row]) == len(backbone.tokenizer.encode(text)) + 1
        assert tokens.ids[row, 0] == backbone.tokenizer.sot_token_id


@every_backbone
def test_too_long_a_text_is_an_error_and_the_longest_fits(name, backbones):
    backbone = backbones[name]
    room = backbone.context_length - 2
    fits = " ".join(["cat"] * room)
    assert len(backbone.tokenizer.encode(fits)) == room
    assert int(backbone.tokenize([fits]).eot[0]) == backbone.context_length - 1
    with pytest.raises(UserError, match=f"longer than the {backbone.context_length} tokens of {name}"):
        backbone.tokenize(["cat", fits + " cat"])


def test_embeddings_longer_than_the_context_are_refused(backbones):
    with pytest.raises(ValueError, match="25 tokens given, native takes 24"):
        backbones["native"].encode_embeddings(torch.zeros(1, 25, 32), torch.tensor([3]))


@every_backbone
def test_shapes(name, backbones):
    backbone = backbones[name]
    cfg = CONFIGS[name]
    assert backbone.embed_dim == cfg["embed_dim"] == backbone.encode_texts(["cat"]).shape[1]
    assert backbone.context_length == cfg["text_cfg"]["context_length"]
    assert (backbone.text_width, backbone.text_layers, backbone.image_size) == (32, 2, 32)
    assert backbone.logit_bias is None


# --- images and logits --------------------------------------------------------------------------------------------


@every_backbone
def test_image_features_and_logits_are_open_clips(name, backbones):
    backbone = backbones[name]
    images = [Image.fromarray(picture) for picture in pictures([0, 1, 2])]
    batch = torch.stack([backbone.preprocess(image) for image in images])
    assert batch.shape == (3, 3, 32, 32)
    with torch.no_grad():
        expected, _ = backbone.model.get_logits(batch, backbone.tokenizer(TEXTS))
        features = backbone.encode_image(batch)
        assert torch.equal(features, backbone.model.encode_image(batch))
        torch.testing.assert_close(backbone.logits(features, backbone.encode_texts(TEXTS)), expected, atol=1e-4, rtol=1e-5)


def test_preprocessing_is_that_of_the_folders_config(backbones):
    """32 px in, 32 px out: only scaled to [0, 1], less mean 0.5, over standard deviation 0.25."""
    picture = pictures([3])[0]
    expected = (torch.from_numpy(picture).permute(2, 0, 1).float() / 255 - 0.5) / 0.25
    torch.testing.assert_close(backbones["native"].preprocess(Image.fromarray(picture)), expected, atol=1e-6, rtol=1e-6)


def test_logits_with_texts_made_per_image(backbones):
    backbone, generator = backbones["native"], torch.Generator().manual_seed(1)
    images, texts = torch.randn(4, 32, generator=generator), torch.randn(5, 32, generator=generator)
    shared = backbone.logits(images, texts)
    assert torch.allclose(backbone.logits(images, texts.expand(4, -1, -1)), shared, atol=1e-5)
    assert torch.allclose(backbone.logits(3 * images, 7 * texts), shared, atol=1e-5)  # lengths do not matter


def test_logit_bias_is_added(load_backbone):
    backbone = load_backbone("native")
    images, texts = torch.randn(2, 32), torch.randn(3, 32)
    plain = backbone.logits(images, texts)
    backbone.model.logit_bias = torch.nn.Parameter(torch.tensor(-2.5), requires_grad=False)
    torch.testing.assert_close(backbone.logits(images, texts), plain - 2.5)


# --- the digest ---------------------------------------------------------------------------------------------------


def test_digest_changes_with_any_weight_and_only_then(load_backbone):
    backbone = load_backbone("native")
    assert load_backbone("native").digest == backbone.digest == digest(backbone.model)
    for name, value in backbone.model.state_dict().items():
        if not value.numel() or not value.is_floating_point():
            continue
        before = value.reshape(-1)[0].item()
        value.reshape(-1)[0] = before + 1
        assert digest(backbone.model) != backbone.digest, name
        value.reshape(-1)[0] = before
    assert digest(backbone.model) == backbone.digest


def test_all_digests_differ(backbones):
    assert len({backbone.digest for backbone in backbones.values()}) == len(backbones)


def test_nothing_of_a_backbone_can_be_trained(backbones):
    for backbone in backbones.values():
        assert not any(parameter.requires_grad for parameter in backbone.model.parameters())
        assert not any(module.training for module in backbone.model.modules())


# --- loading ------------------------------------------------------------------------------------------------------


def test_random_weights_only_when_asked_for(monkeypatch):
    """And then the same ones for a seed."""
    import open_clip

    cfg = {**CONFIGS["native"], "text_cfg": {**CONFIGS["native"]["text_cfg"], "vocab_size": 49408}}
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "tiny-test", cfg)
    one, two, other = (
        Backbone.load("b", BackboneSpec(model="tiny-test", pretrained="random", seed=seed)).digest for seed in (1, 1, 2)
    )
    assert one == two != other
    with pytest.raises(UserError, match="neither a tag"):
        Backbone.load("b", BackboneSpec(model="tiny-test", pretrained="nothing"))
    with pytest.raises(ValueError, match="random"):
        BackboneSpec(model="tiny-test")


def test_a_checkpoint_file_is_loaded(monkeypatch, load_backbone, tmp_path):
    import open_clip

    original = load_backbone("native")
    cfg = json.loads(json.dumps(CONFIGS["native"]))
    cfg["text_cfg"]["vocab_size"] = original.model.token_embedding.num_embeddings
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "tiny-test", cfg)
    file = tmp_path / "weights.pt"
    torch.save(original.model.state_dict(), file)
    assert Backbone.load("b", BackboneSpec(model="tiny-test", pretrained=str(file))).digest == original.digest


@pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning", "ignore:.*torch.jit:DeprecationWarning")
def test_a_file_as_openai_published_it_is_loaded(monkeypatch, load_backbone, tmp_path, recwarn):
    """``ViT-B-16.pt`` of CoOp's users: a TorchScript archive with matrices in half precision and three sizes."""
    import open_clip

    state = {name: value.half().float() for name, value in load_backbone("native").model.state_dict().items()}
    archive = torch.nn.Module()
    sizes = {name: torch.tensor(0) for name in ("input_resolution", "context_length", "vocab_size")}
    for name, value in {**state, **sizes}.items():
        *path, leaf = name.split(".")
        module = archive
        for part in path:
            if not hasattr(module, part):
                module.add_module(part, torch.nn.Module())
            module = getattr(module, part)
        module.register_buffer(leaf, value.half() if value.ndim > 1 else value)
    file = tmp_path / "ViT-B-16.pt"
    torch.jit.script(archive).save(str(file))
    cfg = json.loads(json.dumps(CONFIGS["native"]))
    cfg["text_cfg"]["vocab_size"] = len(state["token_embedding.weight"])
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "tiny-test", cfg)
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "plain-test", {**cfg, "quick_gelu": False})
    recwarn.clear()
    loaded = Backbone.load("b", BackboneSpec(model="tiny-test", pretrained=str(file)))
    assert not recwarn.list
    found = loaded.model.state_dict()
    assert found.keys() == state.keys()
    assert all(torch.equal(found[name], value) for name, value in state.items())
    with pytest.raises(UserError, match=r"QuickGELU \(fix: name the '-quickgelu' variant"):
        Backbone.load("b", BackboneSpec(model="plain-test", pretrained=str(file)))


def test_weights_with_a_tensor_missing_are_refused(backbone_folders, tmp_path):
    """Never random weights by accident."""
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "w"
    shutil.copytree(backbone_folders["native"], folder)
    weights = load_file(folder / "open_clip_model.safetensors")
    del weights["visual.proj"]
    save_file(weights, folder / "open_clip_model.safetensors")
    with pytest.raises(UserError, match=r"visual\.proj"):
        Backbone.load("b", BackboneSpec(model=f"local-dir:{folder}"))


def test_quick_gelu_of_the_config_is_used(backbone_folders, backbones, tmp_path):
    folder = tmp_path / "w"
    shutil.copytree(backbone_folders["native"], folder)
    config = json.loads((folder / "open_clip_config.json").read_text())
    config["model_cfg"]["quick_gelu"] = False
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    plain = Backbone.load("b", BackboneSpec(model=f"local-dir:{folder}"))
    with torch.no_grad():
        assert not torch.allclose(plain.encode_texts(TEXTS), backbones["native"].encode_texts(TEXTS), atol=1e-3)


def test_a_folder_can_be_loaded_from_anywhere(backbone_folders, backbones, monkeypatch, tmp_path):
    """Its merges are found beside its config, not in the current folder."""
    monkeypatch.chdir(tmp_path)
    loaded = Backbone.load("b", BackboneSpec(model=f"local-dir:{backbone_folders['eva']}"))
    assert loaded.tokenize(TEXTS).ids.tolist() == backbones["eva"].tokenize(TEXTS).ids.tolist()
    assert loaded.tokenizer.vocab_size == backbones["eva"].text.token_embedding.num_embeddings


# --- attention ----------------------------------------------------------------------------------------------------

VISION = {"native": (2, 32), "eva": (4, 128), "stem": (4, 128), "narrow": (2, 32)}
FUSED = pytest.param("stem", id="stem (fused qkv)")
LAYOUTS = ["native", "eva", FUSED]


def weight_of(backbone: Backbone, site) -> torch.Tensor:
    """The rows of a backbone's own weights that are a projection, as a view."""
    if site.tower == "text":
        attention = backbone.text.transformer.resblocks[site.layer].attn
    elif hasattr(backbone.model.visual, "trunk"):
        attention = backbone.model.visual.trunk.blocks[site.layer].attn
    else:
        attention = backbone.model.visual.transformer.resblocks[site.layer].attn
    if site.role == "out":
        return (attention.out_proj if hasattr(attention, "out_proj") else attention.proj).weight
    packed = getattr(attention, "in_proj_weight", None)
    if packed is None and getattr(attention, "qkv", None) is not None:
        packed = attention.qkv.weight
    if packed is None:
        return getattr(attention, f"{site.role}_proj").weight
    return packed.chunk(3)["qkv".index(site.role)]


def encode(backbone: Backbone, tower: str) -> torch.Tensor:
    with torch.no_grad():
        return backbone.encode_texts(TEXTS) if tower == "text" else backbone.encode_image(pixels())


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("encoder", ["text", "vision"])
def test_every_projection_has_an_address(name, encoder, backbones):
    depth, width = VISION[name] if encoder == "vision" else (2, 32)
    found = projections(backbones[name], encoder)
    assert len(tower(backbones[name], encoder).blocks) == depth
    assert [(site.layer, site.role) for site in found] == [(layer, role) for layer in range(depth) for role in ROLES]
    assert {(site.d_in, site.d_out) for site in found} == {(width, width)}
    assert len({site.key for site in found}) == len(found)
    assert all(weight_of(backbones[name], site).shape == (site.d_out, site.d_in) for site in found)


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("encoder", ["text", "vision"])
def test_adding_nothing_changes_nothing(name, encoder, double):
    backbone = double(name)
    sites = projections(backbone, encoder)
    before = encode(backbone, encoder)
    with adding(backbone, {site: (lambda x, width=site.d_out: x.new_zeros(*x.shape[:-1], width)) for site in sites}):
        torch.testing.assert_close(encode(backbone, encoder), before, atol=1e-9, rtol=1e-9)
    with adding(backbone, {}):
        assert torch.equal(encode(backbone, encoder), before)


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("encoder", ["text", "vision"])
@pytest.mark.parametrize("role", ROLES)
def test_adding_to_an_output_equals_changing_the_weight(name, encoder, role, double):
    backbone = double(name)
    site = [s for s in projections(backbone, encoder) if s.role == role][-1]
    change = 0.3 * torch.randn(site.d_out, site.d_in, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    plain = encode(backbone, encoder)
    with adding(backbone, {site: lambda x: x @ change.T}):
        added = encode(backbone, encoder)
    weight = weight_of(backbone, site)
    weight += change
    changed = encode(backbone, encoder)
    weight -= change
    assert (changed - plain).abs().max() > 1e-3
    torch.testing.assert_close(added, changed, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_backbone_is_as_before_after_adding(name, double):
    """Also when the body raises: no patched forward and no hook stays."""
    backbone = double(name)
    before = encode(backbone, "text"), encode(backbone, "vision")
    sites = projections(backbone, "text") + projections(backbone, "vision")
    with (  # noqa: PT012
        pytest.raises(RuntimeError, match="on purpose"),
        adding(backbone, {site: lambda x: x + 1 for site in sites}),
    ):
        assert not torch.allclose(encode(backbone, "text"), before[0])
        raise RuntimeError("on purpose")
    assert torch.equal(encode(backbone, "text"), before[0])
    assert torch.equal(encode(backbone, "vision"), before[1])
    assert not any("forward" in vars(module) for module in backbone.model.modules())
    assert not any(module._forward_hooks for module in backbone.model.modules())


def test_an_unknown_layout_has_no_addresses(load_backbone):
    backbone = load_backbone("eva")
    backbone.model.visual.trunk.blocks[0].attn = torch.nn.Identity()
    assert not [site for site in projections(backbone, "vision") if site.layer == 0]


def test_a_tower_without_token_embeddings_is_refused(load_backbone):
    model = load_backbone("eva").model
    model.text = torch.nn.Linear(2, 2)
    with pytest.raises(UserError, match=r"text tower \(Linear\) has no token embeddings"):
        Backbone("odd", model, None, None, torch.device("cpu"))
