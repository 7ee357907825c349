"""Writes the module that a check advises, in this suite's format and, where that is possible, as an adapter of PEFT."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import safetensors.torch

from benchmark.analysis.check.gate import Outcome
from benchmark.analysis.check.options import Option
from benchmark.analysis.check.result import CheckResult
from benchmark.config.files import write_atomically
from benchmark.method.checkpoints import module_file
from benchmark.method.peft_files import CONFIG, WEIGHTS
from benchmark.report.check.card import card, today
from benchmark.report.check.content import content

MODULE, PEFT, CARD, CHECK = "module.safetensors", "peft", "README.md", "check.json"


def to_save(result: CheckResult) -> Option | None:
    """The advised option if it is a module by itself, else the best one that is, by held-out images; None if none is."""
    verdict = result.verdict
    if verdict is not None and verdict.choice.module is not None:
        return verdict.choice
    modules = [option for option in result.options if option.module is not None and option.module.tensors]
    if not modules:
        return None
    if all(option.held_out is None for option in modules):
        return modules[0]  # the module as it is
    return max(modules, key=lambda option: option.held_out or 0.0)


def save(folder: Path, result: CheckResult, outcomes: Sequence[Outcome]) -> Option | None:
    """Write the module, its card, and what the check has found, into a folder; returns the option that was saved."""
    option, files = to_save(result), []
    if option is not None and option.module is not None:
        module = option.module
        tensors = dict(module.tensors)
        write_atomically(folder / MODULE, module_file(tensors, _described(result, option)))
        files.append(MODULE)
        adapter = module.cls.as_peft(module.config, tensors, siglip=result.about["new"]["siglip"])
        if adapter is not None:
            contiguous = {name: value.contiguous() for name, value in adapter["state_dict"].items()}
            text = json.dumps(adapter["adapter_config"], indent=2)
            write_atomically(folder / PEFT / CONFIG, text.encode())
            write_atomically(folder / PEFT / WEIGHTS, safetensors.torch.save(contiguous, {"format": "pt"}))
            files.append(f"{PEFT}/")
    write_atomically(folder / CHECK, json.dumps(content(result, outcomes), indent=1, allow_nan=False).encode())
    write_atomically(folder / CARD, card(result, outcomes, option, files, today()).encode())
    return option


def _described(result: CheckResult, option: Option) -> dict[str, Any]:
    """What the suite writes about a module, so that it can be read again."""
    module, new = option.module, result.about["new"]
    assert module is not None
    return {
        "method": module.cls.info.name,
        "settings": module.config.model_dump(mode="json"),
        "classes": list(module.classes),
        "template": result.about["data"]["template"],
        "context_words": result.about["data"]["context_words"],
        "backbone": {"name": new["name"], "digest": new["digest"]},
        "tensors": {name: list(value.shape) for name, value in module.tensors.items()},
        "made_by": f"check: {option.name}, from {result.about['old']['name']}",
    }
