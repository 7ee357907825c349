"""VPT, IVLP and MaPLe: how their prompts start, which words stay, and where prompts enter the towers."""

from __future__ import annotations

import math

import pytest
import torch
from fixtures.formulas import CLASSES, CLOSE, PLUGINS, READABLE, VISION, build, learnt, text_part
from fixtures.tower_formulas import PROMPTS, prompted_texts

from benchmark.backbones.towers.prompts import image_prompts, text_prompts


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
    """Positions start..start + M - 1 of every row before block i, and no others; blocks before i are not affected."""
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
