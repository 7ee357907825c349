"""Backbones as options name them."""

from __future__ import annotations

import pytest

from benchmark.cli.backbones import named_backbone
from benchmark.config.errors import UserError
from benchmark.config.schema import RunSpec
from benchmark.config.validation import check


@pytest.fixture
def spec() -> RunSpec:
    backbones = {"one": {"model": "bundled:v1"}, "two": {"model": "bundled:v2"}}
    return check(RunSpec, {"backbones": backbones, "upgrades": [{"old": "one", "new": "two"}]}, where="test")


@pytest.mark.parametrize(
    ("name", "model", "pretrained"),
    [
        ("one", "bundled:v1", None),
        ("bundled:v3", "bundled:v3", None),
        ("hf-hub:laion/x", "hf-hub:laion/x", None),
        ("local-dir:/a:b", "local-dir:/a:b", None),
        ("ViT-B-16:openai", "ViT-B-16", "openai"),
        ("ViT-B-32:/a:b.pt", "ViT-B-32", "/a:b.pt"),
    ],
)
def test_names(name, model, pretrained, spec):
    found = named_backbone(name, spec, "--on")
    assert (found.model, found.pretrained) == (model, pretrained)


def test_an_unknown_name(spec):
    with pytest.raises(UserError, match=r"--on tow: no such backbone in the YAML \(fix: did you mean 'two'\?"):
        named_backbone("tow", spec, "--on")
