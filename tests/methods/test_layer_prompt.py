"""The probe of the depth analysis."""

from __future__ import annotations

import pytest
import torch

from benchmark.backbones.towers import tower
from benchmark.method import registry
from benchmark.training.checks.contract import Bench, Subject

METHODS = registry.methods()


@pytest.fixture(scope="module")
def bench():
    with Bench.make() as made:
        yield made


def built(bench, name: str, layer: int | None = None):
    subject = Subject(METHODS[name].cls, bench)
    config = subject.config if layer is None else subject.config.model_copy(update={"layer": layer})
    backbone = bench.backbones["native"]
    return METHODS[name].cls(config, backbone, bench.task.class_list())


def test_at_the_input_it_is_coop(bench):
    probe, coop = built(bench, "layer-prompt", 0), built(bench, "coop")
    coop.load(probe.tensors())
    assert torch.equal(probe.class_features(), coop.class_features())


def test_the_towers_own_states_change_nothing(bench):
    """With what the tower has in its place there, the prompt gives the features of the hand-written words."""
    probe, plain = built(bench, "layer-prompt", 1), built(bench, "layer-prompt", 0)
    start, seen = probe.prompt.tokens.start, []
    hook = tower(probe.backbone, "text").blocks[1].register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    expected = probe.prompt.encode(probe.words)
    hook.remove()
    probe.load({"context": seen[0][0, start : start + probe.config.n_ctx]})
    assert torch.allclose(probe.class_features(), expected, atol=1e-5)
    plain.load({"context": probe.words})
    assert torch.allclose(plain.class_features(), expected, atol=1e-5)


def test_it_acts_at_its_layer_only(bench):
    """The states before the block are those of the hand-written prompt, whatever is learnt."""
    probe, seen = built(bench, "layer-prompt", 1), []
    hook = tower(probe.backbone, "text").blocks[1].register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    first = probe.class_features()
    probe.load({"context": torch.randn_like(probe.context)})
    second = probe.class_features()
    hook.remove()
    assert not torch.allclose(first, second)
    rest = [each[:, probe.prompt.tokens.start + probe.config.n_ctx :] for each in seen]
    assert torch.equal(*rest)


def test_a_tower_without_the_layer_is_refused(bench):
    cls, backbone = METHODS["layer-prompt"].cls, bench.backbones["native"]
    config = cls.Config(layer=backbone.text_layers)
    assert "the prompt is for layer" in cls.incompatibility(config, backbone)
    assert [each["layer"] for each in cls.depths(backbone)] == list(range(backbone.text_layers))


def test_all_leaves_probes_out():
    assert "layer-prompt" not in METHODS.select(["all"])
    assert METHODS.select(["layer-prompt"]) == ["layer-prompt"]
    assert "layer-prompt" in METHODS.select(["layer-*"])
