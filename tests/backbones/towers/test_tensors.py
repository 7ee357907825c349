"""BitFit and LayerNorm tuning: which tensors of the towers they change."""

from __future__ import annotations

import copy
import re

import pytest
import torch
from fixtures.formulas import CLOSE, VISION, build, in_double, zero_shot_texts
from fixtures.tower_formulas import changed, name_of, pixels_of

FINAL = r"(ln_final|visual\.ln_post|visual\.trunk\.norm)\.(weight|bias)"


def in_tower(name, tower):
    return (tower == "vision") == name.startswith("visual.")


def biases_of(model, tower):
    """All biases of the blocks and the final norm but the keys', from the names of open_clip's and timm's parameters."""
    actual = set()
    for name, value in model.named_parameters():
        if not in_tower(name, tower) or not name.endswith("bias") or not (".blocks." in name or "resblocks." in name):
            continue
        if name.endswith(("in_proj_bias", "qkv.bias")):
            width = len(value) // 3
            actual |= {(name, (0, width)), (name, (2 * width, 3 * width))}
        elif "k_proj" not in name:
            actual.add((name, (0, len(value))))
    finals = [name for name, _ in model.named_parameters() if in_tower(name, tower) and re.search(f"{FINAL}$", name)]
    return actual | {(name, (0, len(model.get_parameter(name)))) for name in finals if name.endswith("bias")}


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
    actual = [(address.parameter, address.rows) for address in method.changes.addresses]
    expected = listed(model, "text") | (listed(model, "vision") if tower == "both" else set())
    assert len(actual) == len(set(actual))
    assert set(actual) == expected
    places = {"native": 7, "eva": 10, "stem": 7}[on] if name == "bitfit" else 4
    final = 1 if name == "bitfit" else 2
    text = 2 * (7 if name == "bitfit" else 4) + final
    assert len(actual) == text + ((2 if on == "native" else 4) * places + final if tower == "both" else 0)
    for key, value in method.named_parameters():
        parameter, third = name_of(model, key.removeprefix("changes.by."))
        whole = model.get_parameter(parameter)
        assert len(value) == (len(whole) if third is None else len(whole) // 3)


def test_attention_is_invariant_to_the_keys_biases(backbones, examples):
    """Why BitFit leaves them out: softmax(q (k + b)^T) = softmax(q k^T)."""
    for on in ("native", "stem"):
        backbone = in_double(copy.deepcopy(backbones[on]))
        pixels = pixels_of(backbone, examples)
        changes = {"text_0_k_bias": torch.full((32,), 3.0).double()}
        changes["vision_1_k_bias"] = torch.full((VISION.get(on, (4, 128))[1],), 3.0).double()
        moved = changed(backbone.model, changes)
        with torch.no_grad():
            torch.testing.assert_close(moved.encode_image(pixels), backbone.model.encode_image(pixels), **CLOSE)
            torch.testing.assert_close(zero_shot_texts(backbone, moved), zero_shot_texts(backbone), **CLOSE)
