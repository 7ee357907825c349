"""Every mistake in a YAML is told in one line with the place and the fix."""

from __future__ import annotations

import json

import pytest
import yaml
from fixtures.checkout import ROOT
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmark.config import loader
from benchmark.config.errors import UserError

GOOD = {
    "backbones": {"v1": {"model": "ViT-B-32", "pretrained": "random"}, "v2": {"model": "ViT-B-32", "pretrained": "random"}},
    "upgrades": [{"old": "v1", "new": ["v2"]}],
}


def write(folder, content) -> str:
    file = folder / "pairs.yaml"
    file.write_text(content if isinstance(content, str) else yaml.safe_dump(content), encoding="utf-8")
    return file


def good(**change) -> dict:
    return json.loads(json.dumps(GOOD)) | change


def backbone(**keys) -> dict:
    return good(backbones={"v1": {"model": "ViT-B-32", "pretrained": "random"}, "v2": keys})


# --- what is right ------------------------------------------------------------------------------------------------


def test_defaults(tmp_path):
    spec = loader.load(write(tmp_path, good()))
    assert spec.pairs() == [("v1", "v2")]
    assert (spec.shots, spec.seeds, spec.preset, spec.methods, spec.datasets) == (16, (1, 2, 3), "paper", ("all",), ("all",))
    assert [(each.name, each.shots, each.train_on) for each in spec.protocols] == [
        (n, None, None) for n in ("base-to-new", "domain")
    ]


def test_a_list_of_newer_ones_expands_in_order_and_identity_is_allowed(tmp_path):
    upgrades = [{"old": "v1", "new": ["v2", "v1"]}, {"old": "v2", "new": "v1"}]
    assert loader.load(write(tmp_path, good(upgrades=upgrades))).pairs() == [("v1", "v2"), ("v1", "v1"), ("v2", "v1")]


def test_one_name_stands_for_a_list_of_one(tmp_path):
    spec = loader.load(write(tmp_path, good(methods="coop", datasets="digits", protocols="domain")))
    assert (spec.methods, spec.datasets, [each.name for each in spec.protocols]) == (("coop",), ("digits",), ["domain"])


def test_a_protocol_may_have_settings(tmp_path):
    protocols = ["base-to-new", {"name": "few-shot", "shots": [1, 2]}, {"name": "cross-dataset", "train_on": "digits"}]
    base, few, cross = loader.load(write(tmp_path, good(protocols=protocols))).protocols
    assert (base.shots, few.shots, few.train_on) == (None, (1, 2), None)
    assert (cross.shots, cross.train_on) == (None, ("digits",))


def test_folders_are_relative_to_the_file(tmp_path, monkeypatch):
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path)
    file = write(tmp_path / "sub", backbone(model="local-dir:weights/x"))
    assert loader.load(file).backbones["v2"].model == f"local-dir:{tmp_path.resolve()}/sub/weights/x"


@pytest.mark.parametrize("named", ["../clip.pt", "~/clip.pt"])
def test_weights_files_are_found_from_the_file(named, tmp_path, monkeypatch):
    """And a tag stays a tag."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "clip.pt").touch()
    (tmp_path / "sub").mkdir()
    for pretrained, found in ((named, str(tmp_path.resolve() / "clip.pt")), ("openai", "openai")):
        file = write(tmp_path / "sub", backbone(model="ViT-B-16-quickgelu", pretrained=pretrained))
        assert loader.load(file).backbones["v2"].pretrained == found


def test_the_shipped_pairs_are_valid():
    for file in [ROOT / "pairs.yaml", *sorted((ROOT / "pairs").glob("*.yaml"))]:
        assert loader.load(file).pairs()


# --- what is wrong ------------------------------------------------------------------------------------------------

CASES = {
    "misspelt key": (good(upgradess=[]), "upgradess", "did you mean 'upgrades'"),
    "misspelt inner key": (backbone(modle="x"), "backbones.v2", "did you mean 'model'"),
    "key of nothing known": (good(zzzzqq=1), "zzzzqq", "known keys:"),
    "wrong type": (good(shots="many"), "shots", "many"),
    "number as text": (good(seeds=["1"]), "seeds[0]", "'1'"),
    "true as number": (good(shots=True), "shots", "True"),
    "fraction": (good(shots=1.5), "shots", "1.5"),
    "no shots": (good(shots=0), "shots", "0"),
    "null": (good(methods=None), "methods", "None"),
    "unknown preset": (good(preset="huge"), "preset", "huge"),
    "unknown protocol": (good(protocols=["base-to-old"]), "protocols[0]", "base-to-old"),
    "protocol twice": (good(protocols=["domain", {"name": "domain"}]), "protocols", "list its shots"),
    "protocol key": (good(protocols=[{"name": "domain", "shot": 1}]), "protocols[0].shot", "did you mean 'shots'"),
    "empty shots": (good(protocols=[{"name": "few-shot", "shots": []}]), "protocols[0].shots", "name at least one"),
    "shots of zero": (good(protocols=[{"name": "few-shot", "shots": 0}]), "protocols[0].shots", "you gave 0"),
    "duplicate pair": (good(upgrades=[{"old": "v1", "new": ["v2", "v2"]}]), "upgrades[0].new", "v1 -> v2"),
    "duplicate pair in two": (good(upgrades=GOOD["upgrades"] * 2), "upgrades[1].new", "given twice"),
    "undefined backbone": (good(upgrades=[{"old": "v1", "new": "v22"}]), "upgrades[0]", "did you mean 'v2'"),
    "missing old": (good(upgrades=[{"new": "v2"}]), "upgrades[0].old", "missing"),
    "missing backbones": ({"upgrades": GOOD["upgrades"]}, "backbones", "add 'backbones'"),
    "no backbones": (good(backbones={}), "backbones", "name at least one"),
    "empty upgrades": (good(upgrades=[]), "upgrades", "name at least one"),
    "empty newer": (good(upgrades=[{"old": "v1", "new": []}]), "upgrades[0].new", "name at least one"),
    "empty seeds": (good(seeds=[]), "seeds", "name at least one"),
    "empty methods": (good(methods=[]), "methods", "name at least one"),
    "duplicate seed": (good(seeds=[1, 2, 1]), "seeds", "given twice"),
    "no weights": (backbone(model="ViT-B-32"), "backbones.v2", "'random'"),
    "pretrained beside a folder": (
        backbone(model="local-dir:x", pretrained="openai"),
        "backbones.v2",
        "brings its own weights",
    ),
    "pretrained beside a hub name": (
        backbone(model="hf-hub:a/b", pretrained="openai"),
        "backbones.v2",
        "brings its own weights",
    ),
    "upgrades as mapping": (good(upgrades={"old": "v1"}), "upgrades", "you gave"),
    "backbones as list": (good(backbones=["v1"]), "backbones", "you gave"),
    "duplicate key": ("backbones:\n  v1: {model: a}\n  v1: {model: b}\n", ":3", "given twice"),
    "not YAML": ("backbones: [1, 2\nupgrades: x: y", ":2", "not valid YAML"),
    "tab": ("backbones:\n\tv1: 1\n", ":2", "not valid YAML"),
    "top level list": ("- a\n- b\n", "", "must be a mapping"),
    "empty": ("", "", "must be a mapping"),
    "only a word": ("hello", "", "must be a mapping"),
    "a list as key": ("? [a, b]\n: 1\n", ":1", "plain word"),
    "number as key": ("1: 2\nbackbones: {}\n", "", ""),
    "python object": ("backbones: !!python/object/apply:os.system ['true']\n", ":1", "not valid YAML"),
    "impossible date": (yaml.safe_dump(good()) + "preset: 2001-99-99\n", "", ""),
    "impossible number": (yaml.safe_dump(good()) + "shots: !!int x\n", "", ""),
    "very deep": ("backbones: " + "[" * 5000 + "]" * 5000 + "\n", "", ""),
    "refers to itself": ("backbones: &x {v1: *x}\nupgrades: [{old: v1, new: v1}]\n", "", ""),
}


@pytest.mark.parametrize("case", CASES)
def test_a_mistake_is_one_line_with_place_and_fix(case, tmp_path):
    content, where, words = CASES[case]
    file = write(tmp_path, content)
    with pytest.raises(UserError) as caught:
        loader.load(file)
    text = str(caught.value)
    assert "\n" not in text
    assert text.startswith(str(file))
    assert where in text
    assert words in text
    assert "(fix: " in text
    assert len(text) < 500 + len(str(file))


def test_missing_file_folder_and_binary(tmp_path):
    for path, words in ((tmp_path / "none.yaml", "no such file"), (tmp_path, "cannot be read")):
        with pytest.raises(UserError, match=words):
            loader.load(path)
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00\x01\x80")
    with pytest.raises(UserError, match=r"binary\.yaml: is not UTF-8"):
        loader.load(tmp_path / "binary.yaml")


# --- fuzz ---------------------------------------------------------------------------------------------------------

KEYS = st.sampled_from("backbones upgrades old new model pretrained seeds shots methods datasets preset v1 v2 title".split())
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-3, 99), st.floats(), st.text(max_size=8), KEYS)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.text(max_size=5) | st.integers(), inner, max_size=3)
    ),
    max_leaves=12,
)
FUZZ = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)


@FUZZ
@given(change=st.dictionaries(KEYS, VALUES, max_size=3))
def test_no_content_raises_anything_but_a_user_error(change, tmp_path):
    file = write(tmp_path, yaml.safe_dump(good() | change))
    try:
        spec = loader.load(file)
    except UserError as error:
        assert "\n" not in str(error)  # noqa: PT017
    else:
        assert spec.pairs()


@FUZZ
@given(text=st.text(alphabet=st.sampled_from("abv1:-[]{}#&*!|>'\"%@`,? \n\t0.~<="), max_size=60))
def test_no_text_raises_anything_but_a_user_error(text, tmp_path):
    file = write(tmp_path, text)
    with pytest.raises(UserError):
        loader.load(file)
