"""What every file in methods/ promises, checked for each of them on both of open_clip's layouts.

A new method needs no test of its own here: it is found like the others.
"""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from fixtures.bad_methods import BAD
from safetensors.torch import load_file

from benchmark.backbones.clip import digest
from benchmark.data.batch import ClassList
from benchmark.data.features import FeatureStore
from benchmark.experiment.store import MODULE, Store
from benchmark.method import registry
from benchmark.method.base import Method, MethodConfig
from benchmark.method.checkpoints import module_file
from benchmark.method.terms import Incompatible
from benchmark.training.checks import contract
from benchmark.training.evaluation import predict, scores
from benchmark.training.loop import few_shots, fit
from benchmark.training.modules import attach, build_method

PLUGINS = registry.methods()
OPEN = [name for name in sorted(PLUGINS.plugins) if not PLUGINS[name].cls.info.class_bound]
LEARNERS = [name for name in sorted(PLUGINS.plugins) if not PLUGINS[name].cls.info.baseline]
SCALE_FREE = {"linear-probe"}
"""Its scores have no logit scale: there is no text in them."""


@pytest.fixture(scope="module")
def bench(backbones):
    return contract.Bench(backbones)


@pytest.fixture(scope="module")
def subjects(bench):
    """Each method on the bench, trained once on each layout."""
    return {name: contract.Subject(PLUGINS[name].cls, bench) for name in PLUGINS.plugins}


@pytest.fixture(params=["native", "eva"])
def on(request) -> str:
    return request.param


def with_seed(subject: contract.Subject, seed: int) -> Method:
    """A method before training whose initial values are those of another seed."""
    bench = subject.bench
    task = replace(bench.task, id=replace(bench.task.id, seed=seed))
    return build_method(subject.cls, subject.config, bench.backbones["native"], task, bench.store)


every_method = pytest.mark.parametrize("name", sorted(PLUGINS.plugins))
every_learner = pytest.mark.parametrize("name", LEARNERS)


def test_no_method_is_broken():
    assert not PLUGINS.broken
    assert {"zero-shot", "coop", "cocoop", "contcoop", "clip-adapter", "clip-lora"} <= PLUGINS.plugins.keys()


@every_method
def test_contract(name, subjects):
    """All checks of ``check-method``; what is wrong, by check."""
    problems = contract.problems(subjects[name])
    assert problems.keys() == contract.CHECKS.keys()
    assert {check: problem for check, problem in problems.items() if problem} == {}


# --- bad methods, and the check that finds each --------------------------------------------------------------------


@pytest.mark.parametrize("case", BAD)
def test_a_bad_method_is_found_out(case, tmp_path, load_backbone):
    """Each by the check that is meant for it, in words that say what to fix."""
    check, words, body = BAD[case]
    (tmp_path / "bad.py").write_text(
        "import numpy as np\nimport torch\nfrom torch import nn\n\nfrom benchmark.method import Info, Method\n\n\n"
        'class Bad(Method):\n    """d."""\n\n    info = Info(name="bad", title="t", summary="s", tunes=("features",), '
        'depth="deep", ours=True, parameters="7" if ' + repr(case == "a wrong count") + ' else "")\n    presets = '
        '{"small": {"lr": 0.1, "steps": 4}}\n' + body
    )
    cls = registry.methods_in(tmp_path)["bad"].cls
    own = contract.Bench({name: load_backbone(name) for name in ("native", "eva", "narrow", "wide")})
    found = {name: problem for name, problem in contract.run(cls, own).items() if problem}
    assert check in found
    assert words in found[check]


# --- what tools for authors do not check ----------------------------------------------------------------------------


@every_method
def test_describes_itself(name):
    info = PLUGINS[name].cls.info
    assert info.depth in ("shallow", "deep", "none")
    assert info.transfer or info.baseline
    assert info.parameters or info.baseline
    if not info.paper:
        assert info.ours
        return
    assert info.url.startswith("https://")
    assert info.code.startswith("https://") or not info.code
    assert re.match(r"@\w+\{[\w:-]+,", info.bibtex)
    assert info.year > 2000


@every_learner
def test_learnt_parameters_are_none_of_the_backbones(name, on, subjects):
    method = subjects[name].trained(on)
    frozen = {id(parameter) for parameter in method.backbone.model.parameters()}
    assert not frozen & {id(parameter) for parameter in method.parameters()}


@pytest.mark.parametrize("name", ["cocoop", "clip-adapter", "clip-lora", "masked-lora", "maple", "vpt", "contcoop"])
def test_another_seed_gives_another_module(name, subjects):
    """Where something starts at random."""
    one, other = subjects[name].trained("native"), with_seed(subjects[name], 2)
    fit(other, subjects[name].bench.task, subjects[name].bench.store)
    assert any(not torch.equal(value, other.tensors()[key]) for key, value in one.tensors().items())


@every_learner
def test_module_file_holds_what_is_learnt_and_nothing_else(name, on, subjects, tmp_path):
    method, store = subjects[name].trained(on), Store(tmp_path)
    store.write("m" * 20, {}, "ok", files={MODULE: module_file(method.tensors(), {})})
    stored = load_file(store.folder("m" * 20) / "module.safetensors")
    assert stored.keys() == dict(method.named_parameters()).keys()
    assert sum(v.numel() for v in stored.values()) == sum(p.numel() for p in method.parameters())
    assert not any(word in key for key in stored for word in ("prefix", "suffix", "zero_shot", "backbone", "tokens"))
    backbone_sizes = sum(p.numel() for p in method.backbone.model.parameters())
    assert sum(v.numel() for v in stored.values()) < backbone_sizes / 4


@pytest.mark.parametrize("name", OPEN)
def test_the_order_of_classes_does_not_matter(name, subjects):
    """Scores of a class depend on its own name and not on its place in the list."""
    subject = subjects[name]
    method, train = subject.trained("native"), subject.bench.task.train
    turned = ClassList(method.classes.names[::-1], method.classes.template, method.classes.context_words)
    other = subject.scores(subject.attach(method, "native", turned), train).flip(1)
    torch.testing.assert_close(other, subject.scores(method, train), atol=1e-4, rtol=1e-5)


@every_method
def test_on_another_backbone_it_uses_that_ones_logit_scale(name, subjects, backbones):
    for old, new in (("native", "eva"), ("eva", "native"), ("native", "stem"), ("twin", "eva")):
        follows_the_logit_scale(subjects[name], name, old, backbones[new])


def follows_the_logit_scale(subject, name, old, target):
    new = target.name
    method, train = subject.trained(old), subject.bench.task.train
    try:
        here = subject.scores(subject.attach(method, new), train)
    except Incompatible as error:
        assert new in str(error)  # noqa: PT017 - a method may not fit, and then says so
        return
    assert torch.equal(here, subject.scores(subject.attach(method, new), train))
    scale = target.model.logit_scale
    original = scale.detach().clone()
    try:
        with torch.no_grad():
            scale.add_(torch.log(torch.tensor(2.0)))
        rescaled = subject.scores(subject.attach(method, new), train)
    finally:
        with torch.no_grad():
            scale.copy_(original)
    torch.testing.assert_close(rescaled, here if name in SCALE_FREE else 2 * here, atol=1e-4, rtol=1e-4)
    assert digest(target.model) == target.digest


def test_zero_shot_on_another_backbone_is_that_backbones_own_figure(subjects, backbones, classes, examples):
    """Against open_clip's own calls."""
    method = subjects["zero-shot"].build("eva")
    clip, tokenizer = backbones["eva"].model, backbones["eva"].tokenizer
    with torch.no_grad():
        texts = clip.encode_text(tokenizer([f"a photo of a {n.replace('_', ' ')}." for n in classes.names]), normalize=True)
        pixels = torch.stack([backbones["eva"].transform(examples.images[row]) for row in range(len(examples))])
        expected = clip.logit_scale.exp() * clip.encode_image(pixels, normalize=True) @ texts.T
    torch.testing.assert_close(subjects["zero-shot"].scores(method, examples), expected, atol=1e-4, rtol=1e-5)


@every_method
def test_a_module_that_does_not_fit_says_why(name, subjects):
    """``narrow`` has another embedding width: what is shaped by it is refused, what is shaped by the text width fits."""
    subject = subjects[name]
    method, there = subject.trained("native"), subject.build("narrow")
    own = {key: tuple(p.shape) for key, p in there.named_parameters()}
    if own == {key: tuple(p.shape) for key, p in method.named_parameters()}:
        assert torch.isfinite(subject.scores(subject.attach(method, "narrow"), subject.bench.task.train)).all()
        return
    with pytest.raises(Incompatible, match=r"^[\w.]+ is [\w ]+ in the module but must be [\w ]+ on narrow$"):
        subject.attach(method, "narrow")


FITS = {
    "clip-adapter": (False, True, True),
    "taskres": (False, True, True),
    "linear-probe": (False, True, True),
    "tip-adapter": (True, True, True),
    "tip-adapter-f": (False, True, True),
    "cocoop": (False, False, True),
    "coop": (True, False, True),
    "contcoop": (True, False, True),
    "word-prompt": (True, True, True),
    "ivlp-text": (True, False, True),
    "clip-lora": (True, False, True),
    "vpt": (True, True, True),
    "maple": (True, False, True),
    "layernorm": (True, False, True),
    "bitfit": (True, False, False),
    "bitfit-text": (True, False, True),
}
"""Whether a module fits another embedding width, another text width, and an EVA-02 image tower of the same shape."""


@pytest.mark.parametrize("name", FITS)
def test_who_fits_where(name, subjects):
    found = []
    for old, new in (("native", "narrow"), ("native", "wide"), ("twin", "eva")):
        try:
            subjects[name].attach(subjects[name].build(old), new)
        except Incompatible:
            found.append(False)
        else:
            found.append(True)
    assert tuple(found) == FITS[name]


@pytest.mark.parametrize(
    "name", ["coop", "coop-csc", "cocoop", "contcoop", "kgcoop", "prograd", "word-prompt", "ivlp", "maple", "promptsrc"]
)
def test_too_much_context_is_refused_in_words(name, backbones):
    cls = PLUGINS[name].cls
    reason = cls.incompatibility(cls.Config(n_ctx=17), backbones["narrow"])
    assert "17 context tokens" in reason
    assert "20" in reason
    assert cls.incompatibility(cls.Config(n_ctx=16), backbones["narrow"]) is None


@every_method
def test_predict_is_the_arg_max(name, on, subjects, examples):
    subject = subjects[name]
    method = subject.trained(on)
    bank = FeatureStore(None).testing(method.backbone, examples, pixels=method.needs_pixels)
    expected = subject.scores(method, examples)
    predicted = predict(method, bank)
    assert predicted.dtype == np.uint16
    assert predicted.tolist() == expected.argmax(1).tolist()
    assert torch.equal(torch.cat(list(scores(method, bank, columns=[3, 1]))), expected[:, [3, 1]])


@every_learner
def test_load_refuses_missing_and_foreign_tensors(name, subjects):
    method = subjects[name].build("native")
    tensors = method.tensors()
    first = sorted(tensors)[0]
    with pytest.raises(Incompatible, match="absent"):
        method.load({key: value for key, value in tensors.items() if key != first})
    with pytest.raises(Incompatible, match="token_prefix is 1 x 2 in the module but must be absent"):
        method.load(tensors | {"token_prefix": torch.zeros(1, 2)})


@every_learner
def test_scores_follow_a_newly_loaded_module(name, subjects):
    """Class features cached for testing are dropped when other tensors are loaded."""
    subject = subjects[name]
    done, method, train = subject.trained("native"), with_seed(subject, 3), subject.bench.task.train
    subject.scores(method, train)
    method.load(done.tensors())
    assert torch.equal(subject.scores(method, train), subject.scores(done, train))


@pytest.mark.parametrize("name", sorted(name for name in PLUGINS.plugins if PLUGINS[name].cls.info.keeps_images))
def test_a_method_that_keeps_images_is_incompatible_without_them(name, subjects):
    subject = subjects[name]
    method = subject.trained("native")
    with pytest.raises(Incompatible, match="needs the few training images"):
        attach(type(method), method.config, method.backbone, method.classes, method.tensors())


def test_few_shots_are_encoded_by_the_given_backbone(bench):
    shown = {on: few_shots(MethodConfig(), bench.backbones[on], bench.task, bench.store) for on in ("native", "eva")}
    assert shown["native"].encode(3).shape == (3, len(bench.task.train), 32)
    assert shown["native"].labels.tolist() == list(bench.task.train.labels)
    assert not torch.allclose(shown["native"].encode(1), shown["eva"].encode(1))


@pytest.mark.parametrize("names", [(), ("",), ("cat", "  ")])
def test_a_class_list_has_no_empty_names(names):
    with pytest.raises(ValueError, match="name"):
        ClassList(names)
