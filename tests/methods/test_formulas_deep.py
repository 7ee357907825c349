"""Methods inside the towers (prompts in deeper layers, LoRA, biases, norms) against their formulas, written out once more.

The towers are walked here block by block on open_clip's and timm's own modules, and changes of weights are put into a copy
of the model; nothing of the plugins or of the engine's ways into a tower computes the expected values.
"""

from __future__ import annotations

import copy
import math
import re

import open_clip
import pytest
import torch
from fixtures.formulas import (
    CLASSES,
    CLOSE,
    PLUGINS,
    READABLE,
    VISION,
    build,
    cosine_logits,
    learnt,
    text_part,
    zero_shot_texts,
)
from torch.nn import functional as F

from benchmark.backbones.clip import Backbone, digest
from benchmark.backbones.towers.prompts import image_prompts, text_prompts
from benchmark.config.schema import BackboneSpec
from benchmark.data.batch import Batch, ClassList, FewShots
from benchmark.data.features import Bank
from benchmark.training.checks.tiny_clips import CONFIGS, TEXT
from benchmark.training.checks.tiny_clips import NATIVE as NATIVE_VISION
from benchmark.training.checks.tiny_clips import write as write_backbone
from benchmark.training.loop import derive_seed, train

SEED = 3
STEP = {"atol": 1e-9, "rtol": 1e-7}
"""For a step: a learning rate of 0.05 moves a weight of 0.2 by 5e-6 by its decay alone."""


def doubled(loaded):
    """A backbone in double precision, whose logit scale is the same in single precision, in which the engine has it."""
    loaded.model.double()
    scale = loaded.model.logit_scale
    scale.data = scale.data.float().exp().double().log()
    assert math.isclose(scale.float().exp(), scale.exp(), rel_tol=1e-15)
    to_pixels = loaded.transform
    loaded.transform = lambda image: to_pixels(image).double()
    return loaded


@pytest.fixture(params=["native", "eva"])
def backbone(request, load_backbone):
    """Each layout in turn."""
    return doubled(load_backbone(request.param))


@pytest.fixture(scope="module")
def deep(tmp_path_factory):
    """OpenAI's layout with four text layers and three image layers, so that there are several deeper prompts."""
    config = {**CONFIGS["native"], "vision_cfg": {**NATIVE_VISION, "layers": 3}, "text_cfg": {**TEXT, "layers": 4}}
    folder = write_backbone(tmp_path_factory.mktemp("deep") / "deep", config, seed=7)
    return doubled(Backbone.load("deep", BackboneSpec(model=f"local-dir:{folder}")))


@pytest.fixture(scope="module")
def stem(load_backbone):
    """A timm ViT, whose q, k and v are one linear layer."""
    return doubled(load_backbone("stem"))


def pixels_of(backbone, examples):
    return torch.stack([backbone.transform(examples.images[row]) for row in range(len(examples))])


@pytest.fixture
def pixels(backbone, examples):
    return pixels_of(backbone, examples)


# --- the towers, block by block -----------------------------------------------------------------------------------


def prompted_text(backbone, context, deeper, words, name):
    """Feature (d,) of [SOT | context | words name . | EOT]; ``deeper[i - 1]`` takes the places 1..M before block i."""
    text, count = text_part(backbone.model), len(context)
    ids = backbone.tokenizer([" ".join(["X"] * count) + f" {words} {name}."])[0]
    embedded = text.token_embedding(ids)
    x = (torch.cat([embedded[:1], context, embedded[1 + count :]]) + text.positional_embedding)[None]
    for layer, block in enumerate(text.transformer.resblocks):
        if 0 < layer <= len(deeper):
            x = torch.cat([x[:, :1], deeper[layer - 1][None], x[:, 1 + count :]], dim=1)
        x = block(x, attn_mask=text.attn_mask)
    return text.ln_final(x[0, ids.argmax()]) @ text.text_projection


def prompted_texts(backbone, context, deeper=(), words=""):
    return torch.stack([prompted_text(backbone, context, deeper, words, name) for name in READABLE])


def prompted_images(model, pixels, prompts):
    """Features (B, d) with ``prompts[i]`` (n, d_v) in block i: in OpenAI's layout at the end, as in the official code; in
    EVA's behind the class token, with as many more tokens that have no rotary position."""
    count = len(prompts[0])
    rows = [prompt.expand(len(pixels), -1, -1) for prompt in prompts]
    if hasattr(model.visual, "trunk"):
        trunk = copy.deepcopy(model.visual.trunk)
        x, rope = trunk._pos_embed(trunk.patch_embed(pixels))
        for layer, block in enumerate(trunk.blocks):
            block.attn.num_prefix_tokens += count
            if layer < len(rows):
                x = torch.cat([x[:, :1], rows[layer], x[:, 1 + count * (layer > 0) :]], dim=1)
            x = block(x, rope=rope)
        return trunk.head(trunk.norm(x)[:, 0])
    visual = model.visual
    x = visual.conv1(pixels).flatten(2).transpose(1, 2)
    x = torch.cat([visual.class_embedding.expand(len(x), 1, -1), x], dim=1) + visual.positional_embedding
    x = visual.ln_pre(torch.cat([x, rows[0]], dim=1))
    for layer, block in enumerate(visual.transformer.resblocks):
        if 0 < layer < len(rows):
            x = torch.cat([x[:, :-count], rows[layer]], dim=1)
        x = block(x)
    return visual.ln_post(x[:, 0]) @ visual.proj


# --- a copy of the model with other weights -----------------------------------------------------------------------

INSIDE = {
    "native": {
        "norm1": "ln_1.{}",
        "norm2": "ln_2.{}",
        **dict.fromkeys("qkv", "attn.in_proj_{}"),
        "out": "attn.out_proj.{}",
        "mlp_in": "mlp.c_fc.{}",
        "mlp_out": "mlp.c_proj.{}",
    },
    "eva": {
        "norm1": "norm1.{}",
        "norm2": "norm2.{}",
        **{role: f"attn.{role}_proj.{{}}" for role in "qkv"},
        "inner_norm": "attn.norm.{}",
        "out": "attn.proj.{}",
        "mlp_fc1_g": "mlp.fc1_g.{}",
        "mlp_fc1_x": "mlp.fc1_x.{}",
        "mlp_norm": "mlp.norm.{}",
        "mlp_out": "mlp.fc2.{}",
    },
    "stem": {
        "norm1": "norm1.{}",
        "norm2": "norm2.{}",
        **dict.fromkeys("qkv", "attn.qkv.{}"),
        "out": "attn.proj.{}",
        "mlp_in": "mlp.fc1.{}",
        "mlp_out": "mlp.fc2.{}",
    },
}
"""Parameters of a block by their place; q, k and v are thirds of one tensor where they have the same name."""


def name_of(model, key):
    """The parameter's name, and which third of it, for a place such as ``text_0_q_bias`` or ``vision_final_weight``."""
    tower, layer, *place, kind = key.split("_")
    text = "text." if hasattr(model, "text") else ""
    timm = hasattr(model.visual, "trunk")
    if layer == "final":
        return f"{text}ln_final.{kind}" if tower == "text" else f"visual.{'trunk.norm' if timm else 'ln_post'}.{kind}", None
    if tower == "text" or not timm:
        layout, blocks = "native", f"{text if tower == 'text' else 'visual.'}transformer.resblocks"
    else:
        layout = "stem" if getattr(model.visual.trunk.blocks[0].attn, "qkv", None) else "eva"
        blocks = "visual.trunk.blocks"
    inside = INSIDE[layout]["_".join(place)]
    third = "qkv".index(place[0]) if inside in ("attn.in_proj_{}", "attn.qkv.{}") else None
    return f"{blocks}.{layer}.{inside.format(kind)}", third


def put(model, tensors):
    """A copy of the model with other tensors in the place of its parameters, through which gradients flow."""
    made = copy.deepcopy(model)
    for name, value in tensors.items():
        owner, _, last = name.rpartition(".")
        delattr(made.get_submodule(owner), last)
        setattr(made.get_submodule(owner), last, value)
    return made


def added(model, changes):
    """W + change by the parameter's name, for the parameter, or the third of one, at each place."""
    tensors = {}
    for key, change in changes.items():
        name, third = name_of(model, key)
        if third is not None:
            change = torch.cat([change if part == third else torch.zeros_like(change) for part in range(3)])
        tensors[name] = tensors.get(name, model.get_parameter(name)) + change
    return tensors


def changed(model, changes):
    """A copy of the model with W + change."""
    return put(model, added(model, changes))


def low_rank(tensors, scale):
    """W' = W + scale B A."""
    sites = [name.removeprefix("lora.up.") for name in tensors if name.startswith("lora.up.")]
    return {f"{site}_weight": scale * tensors[f"lora.up.{site}"] @ tensors[f"lora.down.{site}"] for site in sites}


# --- expected features --------------------------------------------------------------------------------------------


def by_vpt(backbone, config, tensors, pixels):
    """Image prompts, and the data set's template."""
    return prompted_images(backbone.model, pixels, tensors["prompts"]), zero_shot_texts(backbone)


def by_ivlp(backbone, config, tensors, pixels):
    """Prompts in both towers that have nothing to do with each other."""
    image = tensors.get("prompts.image")
    images = backbone.model.encode_image(pixels) if image is None else prompted_images(backbone.model, pixels, image)
    return images, prompted_texts(backbone, tensors["prompts.context"], tensors.get("prompts.text", ()))


def by_maple(backbone, config, tensors, pixels):
    """V_0 = G_0(P_0), V_i = G_i(P_i); of "a photo of a" those words that are not learnt stay."""
    context, deeper = tensors["context"], tensors.get("text", ())
    images = [context @ tensors["first_map.weight"].T + tensors["first_map.bias"]]
    images += [text @ tensors[f"maps.{i}.weight"].T + tensors[f"maps.{i}.bias"] for i, text in enumerate(deeper)]
    words = " ".join("a photo of a".split()[len(context) :])
    return prompted_images(backbone.model, pixels, images), prompted_texts(backbone, context, deeper, words)


def by_changes(backbone, config, tensors, pixels):
    """b' = b + change, g' = g + change."""
    made = changed(backbone.model, {name.removeprefix("changes.by."): value for name, value in tensors.items()})
    return made.encode_image(pixels), zero_shot_texts(backbone, made)


def by_lora(backbone, config, tensors, pixels):
    """W' = W + alpha / sqrt(r) B A."""
    made = changed(backbone.model, low_rank(tensors, config.alpha / math.sqrt(config.rank)))
    return made.encode_image(pixels), zero_shot_texts(backbone, made)


EXPECTED = {
    "vpt": by_vpt,
    "ivlp": by_ivlp,
    "ivlp-text": by_ivlp,
    "promptsrc": by_ivlp,
    "maple": by_maple,
    "bitfit": by_changes,
    "bitfit-text": by_changes,
    "layernorm": by_changes,
    "layernorm-text": by_changes,
    "masked-lora": by_lora,
    "masked-lora-text": by_lora,
    "clip-lora-text": by_lora,
    "clip-lora-vision": by_lora,
}
CHANGES = [name for name, by in EXPECTED.items() if by in (by_changes, by_lora)]
PROMPTS = [name for name in EXPECTED if name not in CHANGES]
CASES = [
    ("vpt", {"n_image": 3}),
    ("vpt", {"n_image": 1, "depth": 1}),
    ("vpt", {"n_image": 5, "depth": 3}),
    ("ivlp", {"n_ctx": 4, "n_image": 3}),
    ("ivlp", {"n_ctx": 4, "text_depth": 1, "image_depth": 2}),
    ("ivlp", {"n_ctx": 5, "text_depth": 2, "image_depth": 1}),
    ("ivlp", {"n_ctx": 4, "n_image": 0}),
    ("ivlp-text", {}),
    ("ivlp-text", {"text_depth": 1}),
    ("promptsrc", {}),
    ("promptsrc", {"depth": 1, "n_image": 2}),
    ("maple", {}),
    ("maple", {"n_ctx": 1}),
    ("maple", {"n_ctx": 4, "depth": 1}),
    ("maple", {"n_ctx": 6}),
    ("bitfit", {}),
    ("bitfit-text", {}),
    ("layernorm", {}),
    ("layernorm-text", {}),
    ("masked-lora", {}),
    ("masked-lora", {"rank": 3, "alpha": 4.0}),
    ("masked-lora-text", {}),
    ("clip-lora-text", {}),
    ("clip-lora-text", {"rank": 3, "roles": ("v", "out"), "position": "half-bottom"}),
    ("clip-lora-vision", {}),
    ("clip-lora-vision", {"alpha": 4.0, "roles": ("k", "out"), "position": "half-up"}),
]
every_case = pytest.mark.parametrize(("name", "settings"), CASES, ids=[f"{name} {s}" if s else name for name, s in CASES])


def batch_for(method, features, pixels, labels):
    """A batch of what the method asks for."""
    return Batch(labels, pixels=pixels) if method.needs_pixels else Batch(labels, features=features)


def check_logits(backbone, name, settings, pixels, labels):
    """The method's logits are s cos(f, t) of the expected features, which are not those of zero-shot CLIP."""
    method = build(name, backbone, **settings)
    with torch.no_grad():
        features = backbone.model.encode_image(pixels)
        plain = cosine_logits(backbone.model, features, zero_shot_texts(backbone))
        images, texts = EXPECTED[name](backbone, method.config, learnt(method), pixels)
        expected = cosine_logits(backbone.model, images, texts)
        assert (expected - plain).abs().max() > 0.05
        torch.testing.assert_close(method.logits(batch_for(method, features, pixels, labels)), expected, **CLOSE)


@every_case
def test_logits(backbone, pixels, labels, name, settings):
    check_logits(backbone, name, settings, pixels, labels)


@pytest.mark.parametrize("name", EXPECTED)
def test_needs_pixels_only_if_the_image_tower_changes(backbone, name):
    assert build(name, backbone).needs_pixels == (not name.endswith("text"))


@pytest.mark.parametrize("name", CHANGES)
def test_changes_are_of_the_towers_that_the_name_says(backbone, name):
    """And CLIP-LoRA's are of q, k and v in all layers, by default."""
    keys = [key.split(".")[-1] for key in learnt(build(name, backbone))]
    towers = {"text": {"text"}, "vision": {"vision"}}.get(name.rpartition("-")[2], {"text", "vision"})
    assert {key.split("_")[0] for key in keys} == towers
    if "lora" in name:
        layers = {"text": 2, "vision": VISION[backbone.name][0]}
        expected = {f"{tower}_{layer}_{role}" for tower in towers for layer in range(layers[tower]) for role in "qkv"}
        assert set(keys) == expected
        assert len(keys) == 2 * len(expected)


@pytest.mark.parametrize("depth", [2, 3, 9])
@pytest.mark.parametrize("name", PROMPTS)
def test_logits_with_several_deeper_prompts(deep, examples, labels, name, depth):
    """Each prompt before its own block; blocks beyond the depth let it flow."""
    depths = {"ivlp": ("text_depth", "image_depth"), "ivlp-text": ("text_depth",)}.get(name, ("depth",))
    settings = dict.fromkeys(depths, depth) | ({"n_ctx": 4} if name == "ivlp" else {})
    check_logits(deep, name, settings, pixels_of(deep, examples), labels)


@pytest.mark.parametrize("name", ["bitfit", "layernorm", "masked-lora", "clip-lora-vision"])
def test_logits_where_q_k_and_v_are_one_layer(stem, examples, labels, name):
    check_logits(stem, name, {}, pixels_of(stem, examples), labels)


# --- one step -----------------------------------------------------------------------------------------------------


def gradients(loss, leaves):
    return dict(zip(leaves, torch.autograd.grad(loss, list(leaves.values())), strict=True))


def check_step(config, before, slopes, after):
    """The first step of SGD with momentum, w - lr (g + wd w), or of AdamW, w (1 - lr wd) - lr g / (|g| + eps)."""
    rate = config.lr
    for name, w in before.items():
        g = slopes[name]
        if config.optimizer == "sgd":
            expected = w - rate * (g + 5e-4 * w)
        else:
            expected = w * (1 - rate * 1e-2) - rate * g / (g.abs() + config.eps)
        assert (expected - w).abs().max() > 1e-4, name
        torch.testing.assert_close(after[name], expected, **STEP, msg=lambda text, name=name: f"{name}: {text}")


def one_step(name, backbone, bank, **settings):
    """Train for one step on a full batch; the learnt tensors before and after, and the configuration."""
    once = {"steps": 1, "batch_size": len(bank), "warmup_epochs": 0, "views": 1, "lr": 0.05}
    adamw = {"eps": 1e-3} if name in CHANGES else {}  # so that an entry whose gradient is nearly zero does not jump
    method = build(name, backbone, **once | adamw | settings)
    before = learnt(method)
    train(method, bank, shots=1, seed=SEED)
    return method.config, before, learnt(method)


@pytest.mark.parametrize("name", EXPECTED)
def test_one_step(backbone, features, pixels, labels, name):
    """Of cross-entropy, by the optimiser that the method has by default, and the backbone stays as it is."""
    settings = {"ivlp": {"n_ctx": 4}, "promptsrc": {"templates": "dataset"}}.get(name, {})
    settings |= {"dropout": 0.0} if "lora" in name else {}
    settings |= {"mask": 0.0, "skip": 0.0} if "masked" in name else {}
    state, marks = digest(backbone.model), marks_of(backbone)
    data = features if name.endswith("text") else pixels
    config, before, after = one_step(name, backbone, Bank(data[None], labels), **settings)
    assert config.optimizer == ("adamw" if name in CHANGES else "sgd")
    leaves = {key: value.requires_grad_() for key, value in before.items()}
    images, texts = EXPECTED[name](backbone, config, leaves, pixels)
    loss = F.cross_entropy(cosine_logits(backbone.model, images, texts), labels)
    if name == "promptsrc":
        loss = loss + sum(promptsrc_terms(backbone, images, texts, pixels, zero_shot_texts(backbone)))
    slopes = gradients(loss, leaves)
    with torch.no_grad():
        check_step(config, before, slopes, after)
    assert digest(backbone.model) == state
    assert marks_of(backbone) == marks


def marks_of(backbone):
    """Whatever a method could leave behind in a backbone's modules."""
    modules = {
        name: (
            len(module._forward_hooks),
            len(module._forward_pre_hooks),
            "forward" in vars(module),
            getattr(module, "num_prefix_tokens", None),
            getattr(module, "qkv_bias_separate", None),
            module.training,
        )
        for name, module in backbone.model.named_modules()
    }
    return modules, {name: (p.grad is None, p.requires_grad) for name, p in backbone.model.named_parameters()}


@pytest.mark.parametrize("name", PROMPTS)
def test_official_momentum_and_decay(name):
    """SGD 0.9 and 5e-4 are what every prompt method inherits from Dassl."""
    config = PLUGINS[name].cls.Config()
    assert (config.optimizer, config.momentum, config.weight_decay, config.warmup_epochs) == ("sgd", 0.9, 5e-4, 1)


# --- VPT, IVLP ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PROMPTS)
def test_depth_is_cut_to_the_towers_layers(backbone, name):
    """Two text layers; two or four image layers. MaPLe's pairs of prompts end with the shorter tower."""
    cls = PLUGINS[name].cls
    method = cls(cls.Config(), backbone, CLASSES)
    layers, width = VISION[backbone.name]
    n, m = getattr(method.config, "n_image", None), getattr(method.config, "n_ctx", None)
    shapes = {key: tuple(value.shape) for key, value in method.named_parameters()}
    if name == "vpt":
        assert shapes == {"prompts": (layers, n, width)}
    elif name == "maple":
        maps = {"first_map.weight": (width, 32), "first_map.bias": (width,)}
        maps |= {"maps.0.weight": (width, 32), "maps.0.bias": (width,)}
        assert shapes == {"context": (m, 32), "text": (1, m, 32), **maps}
    else:
        image = {} if name == "ivlp-text" else {"prompts.image": (layers, n, width)}
        assert shapes == {"prompts.context": (m, 32), "prompts.text": (1, m, 32), **image}


@pytest.mark.parametrize("name", PROMPTS)
def test_prompts_start_small_and_context_at_the_words(deep, name):
    """N(0, 0.02^2) for all but the context, which starts at "a photo of a"."""
    cls = PLUGINS[name].cls
    torch.manual_seed(0)
    start = learnt(cls(cls.Config(), deep, CLASSES))
    context = next((value for key, value in start.items() if key.endswith("context")), None)
    if context is not None:
        ids = deep.tokenizer(["a photo of a"])[0, 1 : 1 + len(context)]
        assert torch.equal(context, text_part(deep.model).token_embedding(ids).float())
    for key in ("prompts", "prompts.text", "prompts.image", "text"):
        if key in start:
            assert 0.016 < float(start[key].std()) < 0.024
            assert start[key].mean().abs() < 0.005


def check_start(name, backbone, words="a photo of a", **settings):
    """Without deeper text prompts and before any training, learnt context and kept words are "a photo of a CLASS."."""
    cls = PLUGINS[name].cls
    method = cls(cls.Config(**settings), backbone, CLASSES).double().eval()
    with torch.no_grad():
        expected = backbone.model.encode_text(backbone.tokenizer([f"{words} {name}." for name in READABLE]))
        torch.testing.assert_close(method.class_features(), expected, **CLOSE)


@pytest.mark.parametrize(
    ("name", "settings"), [("maple", {"depth": 1}), ("ivlp", {"text_depth": 1, "n_ctx": 4}), ("promptsrc", {"depth": 1})]
)
def test_text_starts_as_the_plain_sentence(backbone, name, settings):
    """MaPLe with M = 2: [SOT | 2 learnt | of a CLASS . | EOT]."""
    check_start(name, backbone, **settings)


@pytest.mark.parametrize(
    ("name", "settings"),
    [("ivlp", {"text_depth": 1}), ("ivlp-text", {"text_depth": 1, "n_ctx": 2}), ("promptsrc", {"depth": 1, "n_ctx": 3})],
)
def test_ivlp_keeps_the_words_that_are_not_learnt(backbone, name, settings):
    """IVLP with M = 2, its default: [SOT | 2 learnt | of a CLASS . | EOT]."""
    check_start(name, backbone, **settings)


def test_maple_keeps_the_tokens_that_are_not_learnt(backbone):
    """ "a large photo of a" with M = 2, where "large" is several tokens: all tokens but the first two stay."""
    assert len(backbone.tokenizer.encode("large")) > 1
    check_start("maple", backbone, "a large photo of a", depth=1, init_words="a large photo of a")


# --- MaPLe --------------------------------------------------------------------------------------------------------


def test_maple_maps_of_deeper_layers_start_as_clones(deep):
    """Of one layer, and of another than the first prompt's; each is learnt by itself."""
    cls = PLUGINS["maple"].cls
    method = cls(cls.Config(depth=9), deep, CLASSES)
    first, second = method.maps  # three image layers
    for kind in ("weight", "bias"):
        assert torch.equal(getattr(first, kind), getattr(second, kind))
        assert getattr(first, kind).data_ptr() != getattr(second, kind).data_ptr()
        assert not torch.allclose(getattr(first, kind), getattr(method.first_map, kind))
    assert not torch.allclose(method.text[0], method.text[1])
    assert method.first_map.weight.abs().max() <= 1 / math.sqrt(32)  # nn.Linear's own start


@pytest.mark.parametrize(("n_ctx", "words"), [(1, "photo of a"), (2, "of a"), (3, "a"), (4, ""), (6, "")])
def test_maple_prompt(backbone, n_ctx, words):
    """[SOT | context (M) | the other words CLASS . | EOT], M of "a photo of a" learnt."""
    method = build("maple", backbone, n_ctx=n_ctx)
    own = learnt(method)
    with torch.no_grad():
        expected = prompted_texts(backbone, own["context"], own["text"], words)
        torch.testing.assert_close(method.class_features(), expected, **CLOSE)


@pytest.mark.parametrize(("n_ctx", "init_words"), [(2, ""), (4, "a photo")])
def test_maple_starts_at_random_where_the_words_are_too_few(backbone, n_ctx, init_words):
    """And then no word stays before the class name."""
    method = build("maple", backbone, n_ctx=n_ctx, init_words=init_words)
    own = learnt(method)
    cls = PLUGINS["maple"].cls
    start = cls(cls.Config(n_ctx=n_ctx, init_words=init_words), backbone, CLASSES).context
    assert 0.012 < float(start.detach().std()) < 0.028
    with torch.no_grad():
        torch.testing.assert_close(
            method.class_features(), prompted_texts(backbone, own["context"], own["text"]), atol=1e-5, rtol=1e-5
        )


# --- PromptSRC ----------------------------------------------------------------------------------------------------


def unit(x):
    return x / x.norm(dim=-1, keepdim=True)


def promptsrc_terms(backbone, images, texts, pixels, texts0, weights=(25.0, 10.0, 1.0)):
    """25 sum|n(t) - n(t0)| / (C d), 10 sum|n(f) - n(f0)| / (B d), sum p0 (log p0 - log p) / (B C)."""
    images0, scale = backbone.model.encode_image(pixels), backbone.model.logit_scale.exp()
    near_text = (unit(texts) - unit(texts0)).abs().sum() / (len(texts) * 32)
    near_image = (unit(images) - unit(images0)).abs().sum() / (len(images) * 32)
    p0 = torch.softmax(scale * unit(images0) @ unit(texts0).T, dim=1)
    p = torch.softmax(scale * unit(images) @ unit(texts).T, dim=1)
    divergence = (p0 * (p0.log() - p.log())).sum() / (len(images) * len(texts))
    return [weight * term for weight, term in zip(weights, (near_text, near_image, divergence), strict=True)]


@pytest.mark.parametrize(
    "weights", [(25.0, 10.0, 1.0), (0.0, 0.0, 0.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)], ids=str
)
def test_promptsrc_loss(backbone, pixels, labels, weights):
    """L = L_ce + 25 L_text + 10 L_image + L_logits: together with the official weights, and each by itself."""
    given = dict(zip(("text_weight", "image_weight", "logit_weight"), weights, strict=True))
    settings = {} if weights == (25.0, 10.0, 1.0) else given
    method = build("promptsrc", backbone, templates="dataset", **settings)
    with torch.no_grad():
        images, texts = by_ivlp(backbone, method.config, learnt(method), pixels)
        terms = promptsrc_terms(backbone, images, texts, pixels, zero_shot_texts(backbone), weights)
        assert all(term > 0.01 * weight for term, weight in zip(terms, weights, strict=True) if weight)
        logs = cosine_logits(backbone.model, images, texts).log_softmax(1)
        expected = -logs[torch.arange(len(labels)), labels].mean() + sum(terms)
        for mode in (True, False):
            torch.testing.assert_close(method.train(mode).loss(Batch(labels, pixels=pixels)), expected, **CLOSE)


@pytest.mark.parametrize("which", ["imagenet", "dataset"])
def test_promptsrc_target_is_the_mean_of_raw_features(backbone, pixels, labels, which, monkeypatch):
    """t0 = mean of t over templates, not normalised before; those of ImageNet, or the data set's own."""
    few = [lambda name: f"a photo of a {name}.", lambda name: f"{name}", lambda name: f"an icon of {name}, x."]
    names = PLUGINS["promptsrc"].cls.build.__globals__  # the tiny tokenizer has no room for most of the 80
    assert names["OPENAI_IMAGENET_TEMPLATES"] is open_clip.OPENAI_IMAGENET_TEMPLATES
    monkeypatch.setitem(names, "OPENAI_IMAGENET_TEMPLATES", few)
    classes = ClassList(CLASSES.names, CLASSES.template, CLASSES.context_words, ("a red {}.", "x {}"))
    method = build("promptsrc", backbone, classes=classes, **({"templates": which} if which == "dataset" else {}))
    sentences = {
        "imagenet": ["a photo of a {}.", "{}", "an icon of {}, x."],
        "dataset": ["an icon of a {}.", "a red {}.", "x {}"],
    }[which]
    with torch.no_grad():
        every = [
            backbone.model.encode_text(backbone.tokenizer([sentence.format(name) for name in READABLE]))
            for sentence in sentences
        ]
        texts0 = sum(every) / 3
        assert not torch.allclose(unit(texts0), unit(sum(unit(one) for one in every)), atol=1e-4)
        images, texts = by_ivlp(backbone, method.config, learnt(method), pixels)
        terms = promptsrc_terms(backbone, images, texts, pixels, texts0)
        expected = F.cross_entropy(cosine_logits(backbone.model, images, texts), labels) + sum(terms)
        torch.testing.assert_close(method.loss(Batch(labels, pixels=pixels)), expected, **CLOSE)


@pytest.mark.parametrize(
    ("every", "length", "mean", "std"),
    [("epoch", {"epochs": 4}, 2.0, 1.0), ("epoch", {"epochs": 2}, 15.0, 1.0), ("step", {"steps": 5}, 3.5, 1.5)],
)
def test_promptsrc_average(backbones, examples, labels, every, length, mean, std):
    """theta = sum_e w_e theta_e, w_e = N(e; mean, std) normalised, e from 1: over what training alone would have passed."""
    backbone = backbones["native"]
    bank = Bank(pixels_of(backbone, examples)[None], labels)
    common = {"templates": "dataset", "batch_size": 4, "warmup_epochs": 0, "views": 1, "lr": 0.05}
    how = {"average_every": every, "average_mean": mean, "average_std": std}
    plain, averaged = (build("promptsrc", backbone, **common, **length, **how).float() for _ in range(2))
    iterates = []
    plain.after_step = lambda step, steps, per_epoch: iterates.append(learnt(plain))
    train(plain, bank, shots=3, seed=1)
    train(averaged, bank, shots=3, seed=1)
    kept = iterates[2::3] if every == "epoch" else iterates  # three steps an epoch
    assert len(kept) == next(iter(length.values()))
    weights = [math.exp(-((number - mean) ** 2) / (2 * std**2)) for number in range(1, len(kept) + 1)]
    for key, found in averaged.tensors().items():
        expected = sum(weight * one[key].double() for weight, one in zip(weights, kept, strict=True)) / sum(weights)
        torch.testing.assert_close(found.double(), expected, atol=1e-6, rtol=1e-5)
    last = plain.tensors()
    differences = [float((found - last[key]).abs().max()) for key, found in averaged.tensors().items()]
    assert min(differences) > (1e-3 if len(kept) > 2 else 0)  # around epoch 15, the last of two has nearly all the weight
    with torch.no_grad():  # and it is the average that classifies
        batch = Batch(labels, pixels=bank.views[0])
        images, texts = by_ivlp(backbone, averaged.config, learnt(averaged), bank.views[0])
        expected = cosine_logits(backbone.model, images, texts)
        torch.testing.assert_close(averaged.logits(batch), expected, atol=1e-3, rtol=1e-3)
        assert len(kept) == 2 or not torch.allclose(plain.logits(batch), expected, atol=1e-2)


# --- LoRA ---------------------------------------------------------------------------------------------------------

PLAIN = {"masked-lora": "clip-lora", "masked-lora-text": "clip-lora-text"}


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize(
    ("training", "settings", "same"),
    [
        (False, {"mask": 0.5, "skip": 0.5}, True),
        (True, {"mask": 0.0, "skip": 0.0}, True),
        (True, {"mask": 0.3, "skip": 0.0}, False),
        (True, {"mask": 0.0, "skip": 0.9}, False),
    ],
    ids=["testing", "training without masks", "units", "whole layers"],
)
def test_masked_lora_is_lora(backbone, features, pixels, labels, name, training, settings, same):
    """But for its masks, and these are there in training only."""
    masked = build(name, backbone, dropout=0.0, **settings).train(training)
    plain = build(PLAIN[name], backbone, dropout=0.0).train(training)
    plain.load(learnt(masked))
    batch, marks = batch_for(masked, features, pixels, labels), marks_of(backbone)
    with torch.no_grad():
        torch.manual_seed(0)
        found, expected = masked.logits(batch), plain.logits(batch)
    assert torch.allclose(found, expected, atol=1e-9, rtol=0) == same
    assert marks_of(backbone) == marks


def masked_model(backbone, config, tensors, seed):
    """A copy with W' = W + alpha / sqrt(r) B A, and the last layer of each MLP without the columns of silent units, or zero.

    The random numbers are drawn as the method does: image tower first; for each block one a hidden unit, then one.
    """
    model, drawn = backbone.model, []
    made = added(model, low_rank(tensors, config.alpha / math.sqrt(config.rank)))
    torch.manual_seed(seed)
    for tower in ("vision", "text") if any("vision" in name for name in tensors) else ("text",):
        for layer in range(2 if tower == "text" else VISION[backbone.name][0]):
            weight, bias = (name_of(model, f"{tower}_{layer}_mlp_out_{kind}")[0] for kind in ("weight", "bias"))
            kept = torch.rand(model.get_parameter(weight).shape[1]) >= config.mask
            skipped = bool(torch.rand(()) < config.skip)
            drawn.append((float(kept.double().mean()), skipped))
            made[weight] = model.get_parameter(weight) * kept * (not skipped)
            made[bias] = model.get_parameter(bias) * (not skipped)
    return put(model, made), drawn


@pytest.mark.parametrize("name", PLAIN)
def test_masked_lora_step_with_masks(backbone, features, pixels, labels, name):
    """One step under given masks: hidden units silent with probability p, no rescaling, whole MLPs skipped with q."""
    bank = Bank((features if name.endswith("text") else pixels)[None], labels)
    config, before, after = one_step(name, backbone, bank, dropout=0.0, mask=0.3, skip=0.4)
    leaves = {key: value.requires_grad_() for key, value in before.items()}
    made, drawn = masked_model(backbone, config, leaves, derive_seed("noise", SEED))
    assert all(0.5 < share < 0.9 for share, _ in drawn)
    assert {skipped for _, skipped in drawn} == {True, False}
    logits = cosine_logits(backbone.model, made.encode_image(pixels), zero_shot_texts(backbone, made))
    slopes = gradients(F.cross_entropy(logits, labels), leaves)
    with torch.no_grad():
        for key, w in before.items():
            expected = w * (1 - config.lr * 1e-2) - config.lr * slopes[key] / (slopes[key].abs() + config.eps)
            torch.testing.assert_close(after[key], expected, **STEP)


def test_masked_lora_masks_anew_in_each_step(backbone, features, labels):
    """And all of one step's classes see the same masks: the logits of a class do not depend on the others there are."""
    settings = {"dropout": 0.0, "mask": 0.3, "skip": 0.0}
    method = build("masked-lora-text", backbone, **settings).train()
    batch = Batch(labels, features=features)
    fewer = build("masked-lora-text", backbone, classes=ClassList(("cat", "lorry"), CLASSES.template), **settings)
    fewer.load(learnt(method))
    with torch.no_grad():
        torch.manual_seed(1)
        first, second = method.logits(batch), method.logits(batch)
        torch.manual_seed(1)
        again = fewer.train().logits(batch)
    assert not torch.allclose(first, second, atol=1e-2)
    torch.testing.assert_close(again, first[:, [1, 3]], **CLOSE)


class Broken(Exception):
    """Raised in the middle of a tower."""


def fail(*_):
    raise Broken


@pytest.mark.parametrize("name", EXPECTED)
def test_nothing_is_left_behind_after_an_exception(backbone, features, pixels, labels, name):
    """No hook, no replaced forward and no raised number of prefix tokens, when a tower fails at its end."""
    settings = {"dropout": 0.0, "mask": 0.5, "skip": 0.5} if "masked" in name else {}
    method = build(name, backbone, **settings).train()
    batch, before = batch_for(method, features, pixels, labels), None
    with torch.no_grad():
        torch.manual_seed(0)
        undisturbed = method.logits(batch)
    timm = hasattr(backbone.model.visual, "trunk")
    image_end = backbone.model.visual.trunk.norm if timm else backbone.model.visual.ln_post
    before = marks_of(backbone)
    for end, run in ((text_part(backbone.model).ln_final, "class_features"), (image_end, "image_features")):
        trap = end.register_forward_hook(fail)
        reached = run == "image_features" or name not in ("vpt", "clip-lora-vision")
        if (run == "image_features" and not method.needs_pixels) or not reached:
            trap.remove()
            continue
        with pytest.raises(Broken):
            method.class_features() if run == "class_features" else method.image_features(batch)
        trap.remove()
        assert marks_of(backbone) == before
    with torch.no_grad():
        torch.manual_seed(0)
        assert torch.equal(method.logits(batch), undisturbed)


# --- BitFit and LayerNorm -----------------------------------------------------------------------------------------

FINAL = r"(ln_final|visual\.ln_post|visual\.trunk\.norm)\.(weight|bias)"


def in_tower(name, tower):
    return (tower == "vision") == name.startswith("visual.")


def biases_of(model, tower):
    """All biases of the blocks and the final norm but the keys', from the names of open_clip's and timm's parameters."""
    found = set()
    for name, value in model.named_parameters():
        if not in_tower(name, tower) or not name.endswith("bias") or not (".blocks." in name or "resblocks." in name):
            continue
        if name.endswith(("in_proj_bias", "qkv.bias")):
            width = len(value) // 3
            found |= {(name, (0, width)), (name, (2 * width, 3 * width))}
        elif "k_proj" not in name:
            found.add((name, (0, len(value))))
    finals = [name for name, _ in model.named_parameters() if in_tower(name, tower) and re.search(f"{FINAL}$", name)]
    return found | {(name, (0, len(model.get_parameter(name)))) for name in finals if name.endswith("bias")}


def norms_of(model, tower):
    """Gain and bias of norm 1 and 2 of each block and of the final norm; no norm before the blocks, no inner norm."""
    pattern = rf"(locks\.\d+\.(ln_1|ln_2|norm1|norm2)\.(weight|bias)|{FINAL})$"
    names = [name for name, _ in model.named_parameters() if in_tower(name, tower) and re.search(pattern, name)]
    return {(name, (0, len(model.get_parameter(name)))) for name in names}


@pytest.mark.parametrize("tower", ["text", "both"])
@pytest.mark.parametrize(("name", "listed"), [("bitfit", biases_of), ("layernorm", norms_of)])
@pytest.mark.parametrize("on", ["native", "eva", "stem"])
def test_addresses(backbones, on, name, listed, tower):
    """Every bias but the keys'; every norm of all transformers. None twice."""
    model = backbones[on].model
    method = build(name if tower == "both" else f"{name}-text", backbones[on])
    found = [(address.parameter, address.rows) for address in method.changes.addresses]
    expected = listed(model, "text") | (listed(model, "vision") if tower == "both" else set())
    assert len(found) == len(set(found))
    assert set(found) == expected
    places = {"native": 7, "eva": 10, "stem": 7}[on] if name == "bitfit" else 4
    final = 1 if name == "bitfit" else 2
    text = 2 * (7 if name == "bitfit" else 4) + final
    assert len(found) == text + ((2 if on == "native" else 4) * places + final if tower == "both" else 0)
    for key, value in method.named_parameters():
        parameter, third = name_of(model, key.removeprefix("changes.by."))
        whole = model.get_parameter(parameter)
        assert len(value) == (len(whole) if third is None else len(whole) // 3)


def test_attention_does_not_feel_the_keys_biases(backbones, examples):
    """Why BitFit leaves them out: softmax(q (k + b)^T) = softmax(q k^T)."""
    for on in ("native", "stem"):
        backbone = doubled(copy.deepcopy(backbones[on]))
        pixels = pixels_of(backbone, examples)
        changes = {"text_0_k_bias": torch.full((32,), 3.0).double()}
        changes["vision_1_k_bias"] = torch.full((VISION.get(on, (4, 128))[1],), 3.0).double()
        moved = changed(backbone.model, changes)
        with torch.no_grad():
            torch.testing.assert_close(moved.encode_image(pixels), backbone.model.encode_image(pixels), **CLOSE)
            torch.testing.assert_close(zero_shot_texts(backbone, moved), zero_shot_texts(backbone), **CLOSE)


@pytest.mark.parametrize("name", CHANGES)
def test_changes_of_zero_change_nothing(backbone, features, pixels, labels, name):
    """As it starts, the method is zero-shot CLIP, and its changes are zero (LoRA: B is)."""
    cls = PLUGINS[name].cls
    method = cls(cls.Config(), backbone, CLASSES).double().eval()
    assert all(not value.any() for key, value in learnt(method).items() if not key.startswith("lora.down."))
    with torch.no_grad():
        expected = cosine_logits(backbone.model, features, zero_shot_texts(backbone))
        torch.testing.assert_close(method.logits(batch_for(method, features, pixels, labels)), expected, **CLOSE)


# --- where prompts go ---------------------------------------------------------------------------------------------


def inputs_of(blocks, run):
    """What goes into each block while ``run`` runs, after whoever changed it before."""
    seen, hooks = [], []
    for block in blocks:
        hooks.append(block.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].clone())))
    with torch.no_grad():
        run()
    for hook in hooks:
        hook.remove()
    return seen


@pytest.mark.parametrize("start", [1, 3])
@pytest.mark.parametrize("layer", [0, 1, 3])
def test_text_prompts_replace_exactly_their_positions(deep, layer, start):
    """Positions start..start + M - 1 of every row before block i, and no others; blocks before i see nothing of it."""
    blocks = list(text_part(deep.model).transformer.resblocks)
    texts, prompt = ["a photo of a red dog.", "an icon of a lorry."], torch.randn(2, 32).double()
    plain = inputs_of(blocks, lambda: deep.encode_texts(texts))
    with text_prompts(deep, {layer: prompt}, start):
        prompted = inputs_of(blocks, lambda: deep.encode_texts(texts))
    assert all(torch.equal(one, other) for one, other in zip(plain[:layer], prompted[:layer], strict=True))
    expected = plain[layer].clone()
    expected[:, start] = prompt[0]
    expected[:, start + 1] = prompt[1]
    assert torch.equal(prompted[layer], expected)
    for one, other in zip(plain[layer + 1 :], prompted[layer + 1 :], strict=True):
        assert torch.equal(one[:, :start], other[:, :start])  # causal
        assert not torch.allclose(one[:, start:], other[:, start:])


def test_image_prompts_are_replaced_exactly(backbone, pixels):
    """Positions 1..n before block i; the class token and the patches there stay as the block before left them."""
    visual = backbone.model.visual
    blocks = list(visual.trunk.blocks if hasattr(visual, "trunk") else visual.transformer.resblocks)
    width = VISION[backbone.name][1]
    first, second = torch.randn(2, 3, width, generator=torch.Generator().manual_seed(0)).double()
    plain = inputs_of(blocks, lambda: backbone.encode_image(pixels))
    with image_prompts(backbone, {0: first}):
        flowing = inputs_of(blocks, lambda: backbone.encode_image(pixels))
    with image_prompts(backbone, {0: first, 1: second}):
        replaced = inputs_of(blocks, lambda: backbone.encode_image(pixels))
    assert torch.equal(flowing[0][:, :1], plain[0][:, :1])
    assert torch.equal(flowing[0][:, 4:], plain[0][:, 1:])
    assert torch.equal(replaced[0], flowing[0])
    assert torch.equal(replaced[1][:, 1:4], second.expand(len(pixels), -1, -1))
    assert torch.equal(replaced[1][:, :1], flowing[1][:, :1])
    assert torch.equal(replaced[1][:, 4:], flowing[1][:, 4:])


# --- numbers of parameters ----------------------------------------------------------------------------------------


def size(name, backbone, classes=CLASSES, **settings):
    """How many numbers a method learns from twelve images."""
    drawn = torch.Generator().manual_seed(0)
    shown = FewShots(
        torch.arange(12) % len(classes.names), lambda views: torch.randn(views, 12, backbone.embed_dim, generator=drawn)
    )
    cls = PLUGINS[name].cls
    method = cls(cls.Config(**settings), backbone, classes, shown)
    assert not list(method.buffers())
    return sum(parameter.numel() for parameter in method.parameters()), method.config


SETTINGS = {
    "vpt": [{"depth": 1}, {"depth": 3, "n_image": 5}],
    "ivlp": [{"n_image": 0}, {"text_depth": 1, "image_depth": 1, "n_ctx": 3}],
    "ivlp-text": [{"text_depth": 1}],
    "promptsrc": [{"depth": 1}, {"depth": 3, "n_ctx": 2, "n_image": 3}],
    "maple": [{"depth": 1}, {"n_ctx": 3}],
    "masked-lora": [{"rank": 5}],
    "clip-lora": [{"encoder": "text"}, {"encoder": "vision", "rank": 3}, {"roles": ("q", "out")}],
    "clip-lora-text": [{"roles": ("v",)}],
    "clip-lora-vision": [{"rank": 4}],
    "clip-adapter": [{"reduction": 8}],
    "cocoop": [{"reduction": 4, "n_ctx": 2}],
    "contcoop": [{"attention": False}, {"width": 8}],
    "coop-csc": [{"n_ctx": 3}],
    "word-prompt": [{"n_ctx": 2}],
}
SIZES = [(name, settings) for name in sorted(PLUGINS.plugins) for settings in ({}, *SETTINGS.get(name, ()))]


@pytest.mark.parametrize("on", ["native", "eva"])
@pytest.mark.parametrize(("name", "settings"), SIZES, ids=[f"{name} {s}" if s else name for name, s in SIZES])
def test_parameters_are_as_many_as_the_formula_says(backbones, on, name, settings):
    """``info.parameters`` in the names of the configuration and of the shapes."""
    info, (layers, width) = PLUGINS[name].cls.info, VISION[on]
    found, config = size(name, backbones[on], **settings)
    shapes = {"C": 4, "N": 12, "d": 32, "d_t": 32, "d_v": width, "L_t": 2, "L_v": layers}
    formula = eval(info.parameters or "0", {"__builtins__": {}, "min": min, "len": len}, config.model_dump() | shapes)
    if (name, on) == ("bitfit", "eva"):  # the formula is of OpenAI's layout; here there are inner norms and a gated MLP
        hidden = backbones[on].model.visual.trunk.blocks[0].mlp.fc2.in_features
        formula = 2 * 10 * 32 + 32 + layers * (7 * width + 3 * hidden) + width
    assert formula == found


PUBLISHED = [
    ("coop", {"n_ctx": 4}, 2_048),
    ("coop", {"n_ctx": 16}, 8_192),
    ("cocoop", {}, 35_360),
    ("kgcoop", {}, 2_048),
    ("maple", {}, 3_555_072),
    ("maple", {"depth": 3}, 1_185_024),
    ("vpt", {}, 73_728),
    ("ivlp", {}, 30_720),
    ("promptsrc", {}, 46_080),
    ("promptsrc", {"depth": 3}, 15_360),
    ("ivlp-text", {}, 24_576),
    ("clip-adapter", {}, 131_072),
    ("clip-lora", {}, 184_320),
    ("taskres", {}, 3 * 512),
    ("zs-lp", {}, 3 * 512),
    ("clap", {}, 3 * 512),
    ("coop-csc", {"n_ctx": 16}, 3 * 8_192),
    ("tip-adapter-f", {}, 12 * 512 + 2),
]
"""ViT-B/16's, section 4 of the reference, at the default settings but for those given. Tip-Adapter-F: and alpha and beta."""


@pytest.mark.slow
def test_published_numbers_of_parameters():
    """On a ViT-B/16 of random weights, with three classes."""
    backbone = Backbone.load("b16", BackboneSpec(model="ViT-B-16-quickgelu", pretrained="random"))
    classes = ClassList(("dog", "cat", "bird"))
    found = {(name, *settings.items()): size(name, backbone, classes, **settings)[0] for name, settings, _ in PUBLISHED}
    assert found == {(name, *settings.items()): number for name, settings, number in PUBLISHED}
