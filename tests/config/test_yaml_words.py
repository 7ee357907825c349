"""What YAML makes of words, numbers, aliases and bytes, and what people mean by them."""

from __future__ import annotations

import time

import pytest

from benchmark.config import loader
from benchmark.config.errors import UserError

HEAD = "backbones: {a: {model: ViT-B-32, pretrained: random}}\nupgrades: [{old: a, new: a}]\n"


def load(tmp_path, text: str | bytes):
    file = tmp_path / "pairs.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return loader.load(file)


def refusal(tmp_path, text: str | bytes) -> str:
    with pytest.raises(UserError) as caught:
        load(tmp_path, text)
    line = str(caught.value)
    assert "\n" not in line
    assert len(line) < 1000
    return line


def test_numbers_are_names_as_they_are_written(tmp_path):
    spec = load(tmp_path, HEAD + "folders: {x: {path: p, class_names: {007: bond, 1: 2}, base: [010, 2]}}")
    assert spec.folders["x"].class_names == {"007": "bond", "1": "2"}
    assert spec.folders["x"].base == ("010", "2")


@pytest.mark.parametrize("word", ["no", "Yes", "on", "off", "true", "null", "~"])
def test_a_truth_value_as_a_key_belongs_in_quotes(word, tmp_path):
    line = refusal(tmp_path, HEAD + f"folders: {{x: {{path: p, class_names: {{{word}: a}}}}}}")
    assert f"put this key in quotes: '{word}'" in line
    assert "pairs.yaml:3" in line


def test_a_truth_value_as_a_name_belongs_in_quotes(tmp_path):
    line = refusal(tmp_path, HEAD + "folders: {x: {path: p, base: [no, yes]}}")
    assert "folders.x.base[0]" in line
    assert "put it in quotes" in line
    assert load(tmp_path, HEAD + "folders: {x: {path: p, base: ['no', \"yes\"]}}").folders["x"].base == ("no", "yes")


def test_merged_keys_may_be_given_again(tmp_path):
    text = "backbones:\n  a: &a {model: ViT-B-32, pretrained: random}\n  b: {<<: *a, seed: 1, pretrained: random}\n"
    spec = load(tmp_path, text + "upgrades: [{old: a, new: b}]")
    assert (spec.backbones["b"].model, spec.backbones["b"].seed) == ("ViT-B-32", 1)
    assert "given twice" in refusal(tmp_path, text.replace("seed: 1", "seed: 1, seed: 2"))


@pytest.mark.parametrize("coding", ["utf-16", "latin-1", "utf-32"])
def test_other_encodings_are_named(coding, tmp_path):
    assert "is not UTF-8" in refusal(tmp_path, (HEAD + "warning: größer").encode(coding))


def test_a_mark_at_the_start_is_harmless(tmp_path):
    assert load(tmp_path, (HEAD + "warning: größer").encode("utf-8-sig")).warning == "größer"


@pytest.mark.parametrize("where", ["warning: *i", "preset: *i", "datasets: *i", "folders: {x: {path: p, class_names: *i}}"])
def test_aliases_that_fill_the_memory_are_refused_at_once(where, tmp_path):
    """Nine levels of nine each: 400 million words from 500 bytes."""
    bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True):
        bomb += f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]\n"
    start = time.monotonic()
    assert "too large" in refusal(tmp_path, HEAD + bomb + where)
    assert time.monotonic() - start < 5


def test_an_alias_of_itself_is_refused(tmp_path):
    assert "too large" in refusal(tmp_path, HEAD + "datasets: &a [*a]")


def test_control_characters_do_not_reach_the_terminal(tmp_path):
    assert "a control character" in refusal(tmp_path, HEAD + 'warning: "\\e[31mred"')


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("seeds: [-1]", "seeds[0]"),
        ("seeds: [100001]", "seeds[0]"),
        ("shots: 1000000", "shots"),
        ("datasets: [digits, digits]", "'digits' is given twice"),
        ("methods: [coop, coop]", "'coop' is given twice"),
    ],
)
def test_slips_of_the_finger(text, words, tmp_path):
    assert words in refusal(tmp_path, HEAD + text)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("clip-b", "clip_b"), "would share the names of their files"),
        (("A", "a"), "would share the names of their files"),
        (("+", "b"), "begins with a letter or digit"),
        (("=1", "b"), "begins with a letter or digit"),
        (("x" * 61, "b"), "up to 60"),
        (("a/b", "b"), "letters, digits"),
    ],
)
def test_names_that_cannot_name_files(names, words, tmp_path):
    backbones = ", ".join(f'"{name}": {{model: ViT-B-32, pretrained: random}}' for name in names)
    text = f'backbones: {{{backbones}}}\nupgrades: [{{old: "{names[0]}", new: "{names[1]}"}}]'
    assert words in refusal(tmp_path, text)


def test_an_empty_model(tmp_path):
    assert "backbones.a.model" in refusal(tmp_path, HEAD.replace("ViT-B-32", '""'))
