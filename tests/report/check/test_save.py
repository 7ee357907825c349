"""What a check leaves for other code."""

from __future__ import annotations

import json
from dataclasses import replace

from fixtures.made_check import made
from safetensors.torch import load_file

from benchmark.method.checkpoints import read_module
from benchmark.method.registry import methods
from benchmark.report.check.save import save, to_save


def test_the_advised_option_is_saved(result, tmp_path):
    assert save(tmp_path, result, []).name == "keep"
    assert {str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*") if file.is_file()} == {
        "module.safetensors",
        "peft/adapter_config.json",
        "peft/adapter_model.safetensors",
        "README.md",
        "check.json",
    }
    stored = read_module(tmp_path / "module.safetensors", methods())
    assert (stored.method, stored.settings["rank"]) == ("clip-lora", 2)
    assert stored.described["backbone"] == {"name": "new", "digest": "22" * 32}
    assert stored.described["made_by"] == "check: keep, from old<b>"
    names = load_file(tmp_path / "peft" / "adapter_model.safetensors").keys()
    assert "base_model.model.text_model.encoder.layers.0.self_attn.q_proj.lora_A.weight" in names
    assert json.loads((tmp_path / "peft" / "adapter_config.json").read_text())["peft_type"] == "LORA"


def test_where_the_advice_is_no_module_the_best_one_is_saved():
    """By held-out images: retraining."""
    result = made((2, 2, 2), retrain=(2, 2, 2))
    assert result.verdict.choice.kind == "stay"
    assert to_save(result).name == "retrain"


def test_where_none_is_a_module_a_card_is_left(tmp_path):
    result = made()
    bare = replace(result, options=tuple(replace(option, module=None) for option in result.options))
    assert save(tmp_path, bare, []) is None
    assert sorted(file.name for file in tmp_path.iterdir()) == ["README.md", "check.json"]
