"""What methods can do, found out by trying them on tiny CLIPs."""

from __future__ import annotations

import torch

from benchmark.method import registry
from benchmark.training.checks import capability

METHODS = registry.methods()


def test_capabilities_are_what_the_formulas_say():
    names = "coop cocoop clip-adapter tip-adapter clip-lora-text vpt linear-probe word-prompt zero-shot".split()
    found = {each.name: each for each in capability.check_capabilities({name: METHODS[name].cls for name in names}) if each}
    assert found.keys() == set(names) - {"zero-shot"}
    changes = {name: each.changes for name, each in found.items()}
    assert changes == {
        "coop": ("text",),
        "cocoop": ("scores",),
        "clip-adapter": ("image",),
        "tip-adapter": ("scores",),
        "clip-lora-text": ("text",),
        "vpt": ("image",),
        "linear-probe": ("scores",),
        "word-prompt": ("text",),
    }
    runs = {name: each.runs for name, each in found.items()}
    assert runs == {
        "coop": ("text",),
        "cocoop": ("text",),
        "clip-adapter": (),
        "tip-adapter": (),
        "clip-lora-text": ("text",),
        "vpt": ("image",),
        "linear-probe": (),
        "word-prompt": ("text",),
    }
    assert {name for name, each in found.items() if not each.unseen} == {"tip-adapter", "linear-probe"}
    assert {name for name, each in found.items() if each.needs_images} == {"tip-adapter"}
    assert {name for name, each in found.items() if not each.other_embedding} == {"cocoop", "clip-adapter", "linear-probe"}
    assert {name for name, each in found.items() if not each.other_text} == {"coop", "cocoop", "clip-lora-text"}
    assert all(each.other_vision for each in found.values())


def test_probing_leaves_random_numbers_as_they_were():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    list(capability.check_capabilities({"vpt": METHODS["vpt"].cls}))
    assert torch.equal(torch.rand(3), expected)
