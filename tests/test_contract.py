"""What every file in methods/ promises, checked for each of them on both of open_clip's layouts.

A new method needs no test of its own here: it is found like the others.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from conftest import pictures
from safetensors.torch import load_file

from benchmark import registry
from benchmark.backbone import Backbone, digest
from benchmark.dataset import ArrayImages, Augmentation, Examples
from benchmark.evaluation import predict
from benchmark.features import Bank, FeatureStore
from benchmark.method import ClassList, Method, Unfit
from benchmark.store import Store
from benchmark.training import derive_seed, train
from benchmark.work import attach

PLUGINS = registry.methods()
LEARNERS = [name for name in sorted(PLUGINS.plugins) if PLUGINS[name].cls.info.tunes]
OPEN = [name for name in sorted(PLUGINS.plugins) if not PLUGINS[name].cls.info.class_bound]
OTHER_CLASSES = ClassList(("house", "a_red tree", "boat"), "an icon of a {}.", "a photo of a")


def config_of(name: str):
    """A few steps at the settings for small towers."""
    cls = PLUGINS[name].cls
    config = cls.Config.model_validate(cls.presets.get("small", {}))
    few = {"epochs": 2, "batch_size": 6, "warmup_epochs": 0, "views": 2}
    if config.steps_per_shot:
        few["steps_per_shot"] = 2
    return cls.Config.model_validate(config.model_dump() | few)


def make(name: str, backbone: Backbone, classes: ClassList, *, seed: int = 1) -> Method:
    torch.manual_seed(derive_seed("init", seed))
    return PLUGINS[name].cls(config_of(name), backbone, classes)


def bank_of(method: Method, examples: Examples, *, views: int = 2) -> Bank:
    how = Augmentation(crop=(0.7, 1.0), flip=False)
    return FeatureStore(None).training(method.backbone, examples, how, views, pixels=method.needs_pixels)


def scores(method: Method, examples: Examples) -> torch.Tensor:
    """Scores of plain images, without gradient."""
    bank = FeatureStore(None).testing(method.backbone, examples, pixels=method.needs_pixels)
    rows = torch.arange(len(bank))
    with torch.no_grad():
        return method.eval().logits(bank.batch(rows, torch.zeros_like(rows)))


def trained(name: str, backbone: Backbone, classes: ClassList, examples: Examples, *, seed: int = 1) -> Method:
    method = make(name, backbone, classes, seed=seed)
    train(method, bank_of(method, examples), shots=1, seed=seed)
    return method


@dataclass
class Trained:
    """A method after training, and the backbone's digest then."""

    name: str
    method: Method
    before: dict[str, torch.Tensor]
    digest_after: str

    @property
    def backbone(self) -> Backbone:
        return self.method.backbone


@pytest.fixture(scope="module")
def trainings(backbones, classes, examples):
    """Trains each (method, backbone) once."""
    made: dict[tuple[str, str], Trained] = {}

    def get(name: str, on: str) -> Trained:
        if (name, on) not in made:
            before = make(name, backbones[on], classes).tensors()
            method = trained(name, backbones[on], classes, examples)
            made[name, on] = Trained(name, method, before, digest(backbones[on].model))
        return made[name, on]

    return get


@pytest.fixture(params=["native", "eva"])
def on(request) -> str:
    return request.param


every_method = pytest.mark.parametrize("name", sorted(PLUGINS.plugins))
every_learner = pytest.mark.parametrize("name", LEARNERS)


def test_no_method_is_broken():
    assert not PLUGINS.broken
    assert {"zero-shot", "coop", "cocoop", "contcoop", "clip-adapter", "clip-lora"} <= PLUGINS.plugins.keys()


@every_method
def test_describes_itself(name):
    info = PLUGINS[name].cls.info
    assert info.title
    assert info.summary
    assert info.depth in ("shallow", "deep", "none")
    assert info.paper
    assert info.url.startswith("https://")
    assert re.match(r"@\w+\{[\w:-]+,", info.bibtex)
    assert info.year > 2000
    assert PLUGINS[name].cls.__doc__ or info.control


@every_method
def test_presets_are_valid(name):
    for preset in PLUGINS[name].cls.presets.values():
        PLUGINS[name].cls.Config.model_validate(preset)


@every_method
def test_save_load_attach_gives_the_same_logits(name, on, trainings, classes, examples, tmp_path):
    done, store = trainings(name, on), Store(tmp_path)
    sha = store.save_module("k" * 20, done.method.tensors(), {"method": name})
    again = attach(type(done.method), done.method.config, done.backbone, classes, store.load_module("k" * 20, sha))
    assert torch.equal(scores(again, examples), scores(done.method, examples))


@every_learner
def test_training_changes_what_is_learnt_and_nothing_is_nan(name, on, trainings):
    done = trainings(name, on)
    after = done.method.tensors()
    assert any(not torch.equal(value, done.before[key]) for key, value in after.items())
    for key, value in after.items():
        assert torch.isfinite(value).all(), key
        assert value.dtype == torch.float32, key


@every_learner
def test_learnt_parameters_are_fp32_and_none_is_the_backbones(name, on, trainings):
    done = trainings(name, on)
    frozen = {id(parameter) for parameter in done.backbone.model.parameters()}
    for key, parameter in done.method.named_parameters():
        assert parameter.dtype == torch.float32, key
        assert id(parameter) not in frozen, key


@every_method
def test_training_leaves_the_backbone_as_it_was(name, on, trainings):
    done = trainings(name, on)
    assert done.digest_after == done.backbone.digest == digest(done.backbone.model)
    assert not any(p.requires_grad for p in done.backbone.model.parameters())
    assert not any(m.training for m in done.backbone.model.modules())


@every_learner
def test_only_declared_tensors_get_gradients_and_all_of_them_do(name, on, backbones, classes, examples):
    """Two steps, as a tensor behind one that starts at zero (LoRA's A, an output layer) has no gradient in the first."""
    backbone = backbones[on]
    method = make(name, backbone, classes).train()
    bank = bank_of(method, examples)
    optimizer = torch.optim.SGD(method.parameters(), lr=0.05)
    rows = torch.arange(len(bank))
    for _ in range(2):
        optimizer.zero_grad(set_to_none=True)
        method.loss(bank.batch(rows, rows % 2)).backward()
        optimizer.step()
    for key, parameter in method.named_parameters():
        assert parameter.requires_grad, key
        assert parameter.grad is not None, key
        assert parameter.grad.abs().max() > 0, key
    for key, parameter in backbone.model.named_parameters():
        assert parameter.grad is None, key


@every_learner
def test_training_twice_gives_the_same_bits(name, on, trainings, backbones, classes, examples):
    again = trained(name, backbones[on], classes, examples).tensors()
    first = trainings(name, on).method.tensors()
    assert again.keys() == first.keys()
    for key, value in first.items():
        assert torch.equal(value, again[key]), key


@every_learner
def test_another_seed_gives_another_module(name, trainings, backbones, classes, examples):
    other = trained(name, backbones["native"], classes, examples, seed=2).tensors()
    first = trainings(name, "native").method.tensors()
    assert any(not torch.equal(value, other[key]) for key, value in first.items())


@every_learner
def test_module_file_holds_what_is_learnt_and_nothing_else(name, on, trainings, tmp_path):
    method, store = trainings(name, on).method, Store(tmp_path)
    store.save_module("m" * 20, method.tensors(), {})
    stored = load_file(store.folder("m" * 20) / "module.safetensors")
    assert stored.keys() == dict(method.named_parameters()).keys()
    assert sum(v.numel() for v in stored.values()) == sum(p.numel() for p in method.parameters())
    assert not any(word in key for key in stored for word in ("prefix", "suffix", "zero_shot", "backbone", "tokens"))
    backbone_sizes = sum(p.numel() for p in method.backbone.model.parameters())
    assert sum(v.numel() for v in stored.values()) < backbone_sizes / 4


@every_method
def test_a_module_has_no_state_beside_its_parameters(name, on, trainings):
    method = trainings(name, on).method
    assert set(method.state_dict()) == {key for key, _ in method.named_parameters()}


@pytest.mark.parametrize("name", OPEN)
def test_unseen_class_names_are_accepted(name, on, trainings, examples):
    done = trainings(name, on)
    other = attach(type(done.method), done.method.config, done.backbone, OTHER_CLASSES, done.method.tensors())
    found = scores(other, examples)
    assert found.shape == (len(examples), 3)
    assert torch.isfinite(found).all()
    assert (found.std(1) > 0).all()


@pytest.mark.parametrize("name", OPEN)
def test_the_order_of_classes_does_not_matter(name, trainings, examples):
    """Scores of a class depend on its own name and not on its place in the list."""
    done = trainings(name, "native")
    turned = ClassList(done.method.classes.names[::-1], done.method.classes.template, done.method.classes.context_words)
    other = attach(type(done.method), done.method.config, done.backbone, turned, done.method.tensors())
    torch.testing.assert_close(scores(other, examples).flip(1), scores(done.method, examples), atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize(("old", "new"), [("native", "eva"), ("eva", "native"), ("native", "stem")])
@every_method
def test_attached_to_another_backbone_it_uses_that_ones_tokens_features_and_scale(
    name, old, new, trainings, backbones, classes, examples, monkeypatch
):
    """Nothing of the old backbone is read, and the new one's own parts are."""
    done = trainings(name, old)
    tensors, config, target = done.method.tensors(), done.method.config, backbones[new]

    def forbidden(*_, **__):
        raise AssertionError("the old backbone was used")

    for hook in ("encode_image", "encode_embeddings", "embed", "tokenize", "logits", "encode_texts", "encode_tokens"):
        monkeypatch.setattr(backbones[old], hook, forbidden)
    try:
        method = attach(type(done.method), config, target, classes, tensors)
    except Unfit as error:
        assert new in str(error)  # noqa: PT017 - a method may not fit, and then says so
        return
    here = scores(method, examples)
    assert torch.isfinite(here).all()
    assert torch.equal(here, scores(attach(type(method), config, target, classes, tensors), examples))
    scale = target.model.logit_scale
    doubled = scale.detach().clone() + torch.log(torch.tensor(2.0))
    original = scale.detach().clone()
    try:
        with torch.no_grad():
            scale.copy_(doubled)
        rescaled = scores(attach(type(method), config, target, classes, tensors), examples)
    finally:
        with torch.no_grad():
            scale.copy_(original)
    torch.testing.assert_close(rescaled, 2 * here, atol=1e-4, rtol=1e-4)
    assert digest(target.model) == target.digest


def test_zero_shot_on_another_backbone_is_that_backbones_own_figure(backbones, classes, examples):
    """Against open_clip's own calls."""
    method = make("zero-shot", backbones["eva"], classes)
    clip, tokenizer = backbones["eva"].model, backbones["eva"].tokenizer
    with torch.no_grad():
        texts = clip.encode_text(tokenizer([f"a photo of a {n.replace('_', ' ')}." for n in classes.names]), normalize=True)
        pixels = torch.stack([backbones["eva"].transform(examples.images[row]) for row in range(len(examples))])
        expected = clip.logit_scale.exp() * clip.encode_image(pixels, normalize=True) @ texts.T
    torch.testing.assert_close(scores(method, examples), expected, atol=1e-4, rtol=1e-5)


@every_method
def test_a_module_that_does_not_fit_says_why(name, trainings, backbones, classes, examples):
    """``narrow`` has another embedding width: what is shaped by it is refused, what is shaped by the text width fits."""
    done, narrow = trainings(name, "native"), backbones["narrow"]
    own = {key: tuple(p.shape) for key, p in make(name, narrow, classes).named_parameters()}
    fits = own == {key: tuple(p.shape) for key, p in done.method.named_parameters()}
    if fits:
        method = attach(type(done.method), done.method.config, narrow, classes, done.method.tensors())
        assert torch.isfinite(scores(method, examples)).all()
        return
    with pytest.raises(Unfit, match=r"^[\w.]+ is [\w ]+ in the module but must be [\w ]+ on narrow$"):
        attach(type(done.method), done.method.config, narrow, classes, done.method.tensors())


@pytest.mark.parametrize(("name", "fits"), [("clip-adapter", False), ("cocoop", False), ("coop", True), ("contcoop", True)])
def test_who_fits_another_embedding_width(name, fits, trainings, backbones, classes):
    done = trainings(name, "native")
    try:
        attach(type(done.method), done.method.config, backbones["narrow"], classes, done.method.tensors())
    except Unfit:
        assert not fits
    else:
        assert fits


@pytest.mark.parametrize("name", ["coop", "cocoop", "contcoop"])
def test_too_much_context_is_refused_in_words(name, backbones):
    cls = PLUGINS[name].cls
    reason = cls.why_not(cls.Config(n_ctx=17), backbones["narrow"])
    assert "17 context tokens" in reason
    assert "20" in reason
    assert cls.why_not(cls.Config(n_ctx=16), backbones["narrow"]) is None


@every_method
def test_batches_do_not_influence_each_other(name, on, trainings):
    """The score of an image does not depend on which others are scored with it."""
    done = trainings(name, on)
    labels = tuple(row % 4 for row in range(7))
    seven = Examples(ArrayImages(pictures(labels, seed=5)), labels)
    three = seven.pick([4, 5, 6])
    torch.testing.assert_close(scores(done.method, seven)[4:], scores(done.method, three), atol=2e-5, rtol=1e-5)


@every_method
def test_predict_is_the_arg_max(name, on, trainings, examples):
    done = trainings(name, on)
    bank = FeatureStore(None).testing(done.backbone, examples, pixels=done.method.needs_pixels)
    found = predict(done.method, bank)
    assert found.dtype == np.uint16
    assert found.tolist() == scores(done.method, examples).argmax(1).tolist()


@every_learner
def test_load_refuses_missing_and_foreign_tensors(name, trainings):
    method = trainings(name, "native").method
    tensors = method.tensors()
    first = sorted(tensors)[0]
    with pytest.raises(Unfit, match="absent"):
        method.load({key: value for key, value in tensors.items() if key != first})
    with pytest.raises(Unfit, match="token_prefix is 1 x 2 in the module but must be absent"):
        method.load(tensors | {"token_prefix": torch.zeros(1, 2)})


@pytest.mark.parametrize("name", LEARNERS)
def test_scores_follow_a_newly_loaded_module(name, backbones, classes, examples, trainings):
    """Class features cached for testing are dropped when other tensors are loaded."""
    done = trainings(name, "native")
    method = make(name, backbones["native"], classes, seed=3).eval()
    bank = FeatureStore(None).testing(method.backbone, examples, pixels=method.needs_pixels)
    batch = bank.batch(torch.arange(len(bank)), torch.zeros(len(bank), dtype=torch.long))
    with torch.no_grad():
        method.logits(batch)
        method.load(done.method.tensors())
        after = method.logits(batch)
    assert torch.equal(after, scores(done.method, examples))


@pytest.mark.parametrize("names", [(), ("",), ("cat", "  ")])
def test_a_class_list_has_no_empty_names(names):
    with pytest.raises(ValueError, match="name"):
        ClassList(names)
