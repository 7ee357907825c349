"""The models of a YAML, by themselves; whole files are in ``test_loader``."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from benchmark.config.paths import RELEASES
from benchmark.config.schema import BackboneSpec, FolderSpec, ProtocolSpec, RunSpec


@pytest.mark.parametrize(
    ("model", "folder", "name"),
    [
        ("local-dir:/a/b:c", Path("/a/b:c"), "local-dir:/a/b:c"),
        ("bundled:v1", RELEASES / "v1", f"local-dir:{RELEASES / 'v1'}"),
        ("hf-hub:org/repo", None, "hf-hub:org/repo"),
    ],
)
def test_where_a_model_is(model, folder, name):
    spec = BackboneSpec(model=model)
    assert (spec.folder, spec.open_clip_name) == (folder, name)


def test_an_architecture_is_in_no_folder():
    spec = BackboneSpec(model="ViT-B-32", pretrained="random")
    assert (spec.folder, spec.open_clip_name) == (None, "ViT-B-32")


@pytest.mark.parametrize("name", ["v1", "v2", "v5"])
def test_releases_come_with_the_suite(name):
    assert (BackboneSpec(model=f"bundled:{name}").folder / "open_clip_config.json").is_file()


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"template": "a photo"}, "one {}"),
        ({"template": "{} and {}"}, "one {}"),
        ({"template": "{name}"}, "one {}"),
        ({"template": "{"}, "one {}"),
        ({"class_names": {"a": " "}}, "'a'"),
        ({"base": ["a", "a"]}, "given twice"),
        ({"crop": [0.5, 0.2]}, "the smaller first"),
        ({"crop": [0.0, 1.0]}, "between 0 and 1"),
        ({"shots": 0}, "greater than or equal to 1"),
    ],
)
def test_folders_that_cannot_be(keys, words):
    with pytest.raises(ValidationError) as caught:
        FolderSpec(path="x", **keys)
    assert words in str(caught.value)


def test_a_folder_may_forbid_cropping():
    assert FolderSpec(path="x", crop=None).crop is None
    assert FolderSpec(path="x", crop=[0.2, 1.0]).crop == (0.2, 1.0)


@pytest.mark.parametrize("name", ["all", "H", "base", "new", "a b", "", "a/b"])
def test_names_that_no_data_set_can_have(name):
    backbones = {"b": BackboneSpec(model="ViT-B-32", pretrained="random")}
    upgrades = [{"old": "b", "new": "b"}]
    with pytest.raises(ValidationError, match="cannot be called"):
        RunSpec(backbones=backbones, upgrades=upgrades, folders={name: FolderSpec(path="x")})


def test_one_number_of_shots_will_do():
    assert ProtocolSpec(name="few-shot", shots=4).shots == (4,)
    assert ProtocolSpec(name="few-shot", shots=[4, 2]).shots == (4, 2)
