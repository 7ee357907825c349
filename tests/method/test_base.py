"""The method contract: what a method is given and what it keeps."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from benchmark.method import ClassList, Incompatible, Info, Method, MethodConfig, official_state


class Shift(Method):
    info = Info("shift", "Shift", "a shift of class features", ("features",), "deep")

    def build(self) -> None:
        self.shift = nn.Parameter(torch.zeros(self.backbone.embed_dim))
        self.calls = 0

    def class_features(self) -> torch.Tensor:
        self.calls += 1
        return self.zero_shot_features + self.shift


def test_class_features_are_computed_once_while_nothing_is_trained(backbones, classes):
    method = Shift(MethodConfig(), backbones["native"], classes).eval()
    with torch.no_grad():
        first, second = method.current_class_features(), method.current_class_features()
        assert method.calls == 1
        assert torch.equal(first, second)
        method.load({"shift": torch.ones(32)})
        torch.testing.assert_close(method.current_class_features(), first + 1)
    method.train()
    method.current_class_features()
    method.current_class_features()
    assert method.calls == 4


def test_what_is_learnt_is_a_copy_and_loads_only_where_it_fits(backbones, classes):
    method = Shift(MethodConfig(), backbones["native"], classes)
    tensors = method.tensors()
    tensors["shift"] += 1
    assert not method.shift.any()
    with pytest.raises(Incompatible, match=r"shift is 32 in the module but must be 24 on narrow"):
        Shift(MethodConfig(), backbones["narrow"], classes).load(tensors)
    with pytest.raises(Incompatible, match="absent"):
        method.load({})


def test_ensembles_average_normalised_or_plain_features(backbones, classes):
    method = Shift(MethodConfig(), backbones["native"], classes)
    templates = ["a photo of a {}", "an icon of a {}"]
    features = [backbones["native"].encode_texts(classes.texts(template)) for template in templates]
    plain = method.ensemble_features(templates, normalise=False)
    torch.testing.assert_close(plain, (features[0] + features[1]) / 2, atol=1e-4, rtol=1e-4)
    unit = [each / each.norm(dim=-1, keepdim=True) for each in features]
    normalised = method.ensemble_features(templates, normalise=True)
    torch.testing.assert_close(normalised, (unit[0] + unit[1]) / 2, atol=1e-5, rtol=1e-4)


def test_presets_add_what_the_official_code_sets_by_task_to_the_papers_preset_only():
    class Own(Shift):
        presets = {"paper": {"lr": 1.0}, "small": {"lr": 2.0}}

        @classmethod
        def official(cls, protocol: str, shots: int, dataset: str) -> dict[str, object]:
            return {"epochs": shots}

    assert Own.preset("paper", "few-shot", 4, "dtd") == {"lr": 1.0, "epochs": 4}
    assert Own.preset("small", "few-shot", 4, "dtd") == {"views": 4, "lr": 2.0}


def test_state_of_an_official_checkpoint():
    tensor = torch.ones(1)
    assert official_state({"state_dict": {"module.a": tensor, "epoch": 3}}) == {"a": tensor}
    assert official_state({"b": tensor}) == {"b": tensor}
    assert official_state({"state_dict": 3}) == {}


def test_without_pixels_or_features_there_is_no_class_list_either():
    with pytest.raises(ValueError, match="at least one name"):
        ClassList(())
