"""What every method promises, checked on tiny random CLIPs of both layouts in seconds.

Each check is one function that raises ``AssertionError`` with a sentence that says what to fix.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from benchmark.backbones.clip import Backbone, digest
from benchmark.backbones.towers import tower
from benchmark.config.schema import PROTOCOLS, BackboneSpec
from benchmark.config.validation import check
from benchmark.data.batch import Batch, ClassList
from benchmark.data.dataset import Examples
from benchmark.data.features import FeatureStore
from benchmark.data.task import Task
from benchmark.method.base import Method
from benchmark.method.terms import Incompatible, axes_of
from benchmark.training.checks import tiny_clips
from benchmark.training.loop import few_shots, learnt_by_gradient, make_optimizer
from benchmark.training.modules import attach, build_method, train_module

LAYOUTS = ("native", "eva")


@dataclass
class Bench:
    """The tiny CLIPs and the task that methods are checked on."""

    backbones: dict[str, Backbone]
    task: Task = field(default_factory=tiny_clips.task)
    store: FeatureStore = field(default_factory=lambda: FeatureStore(None))

    @classmethod
    @contextmanager
    def make(cls) -> Iterator[Bench]:
        """Random weights are written to a folder and loaded as any others."""
        with tempfile.TemporaryDirectory() as folder:
            backbones = {}
            for seed, (name, config) in enumerate(tiny_clips.CONFIGS.items(), start=1):
                written = tiny_clips.write(Path(folder) / name, config, seed=seed, scale=tiny_clips.SCALES[name])
                backbones[name] = Backbone.load(name, BackboneSpec(model=f"local-dir:{written}"))
            yield cls(backbones)


@dataclass
class Subject:
    """The method that is checked."""

    cls: type[Method]
    bench: Bench
    _trained: dict[str, Method] = field(default_factory=dict)

    @property
    def config(self) -> Any:
        """The preset "small", a few steps of it."""
        config = check(self.cls.Config, self.cls.preset("small", "base-to-new", 3, "tiny"), where=self.cls.info.name)
        few: dict[str, Any] = {"batch_size": 6, "views": 2}
        few |= {"epochs": min(config.epochs, 2), "warmup_epochs": 0, "steps": min(config.steps, 4) if config.steps else None}
        return config.model_copy(update=few)

    def build(self, on: str) -> Method:
        """Freshly built on a tiny CLIP."""
        return build_method(self.cls, self.config, self.bench.backbones[on], self.bench.task, self.bench.store)

    def trained(self, on: str) -> Method:
        """Trained on a tiny CLIP, once."""
        if on not in self._trained:
            backbone, task, store = self.bench.backbones[on], self.bench.task, self.bench.store
            self._trained[on], _ = train_module(self.cls, self.config, backbone, task, store)
        return self._trained[on]

    def attach(self, method: Method, on: str, classes: ClassList | None = None) -> Method:
        """The module of a trained method on a tiny CLIP."""
        backbone, task = self.bench.backbones[on], self.bench.task
        shown = few_shots(self.config, backbone, task, self.bench.store) if self.cls.info.keeps_images else None
        return attach(self.cls, self.config, backbone, classes or task.class_list(), method.tensors(), shown)

    def scores(self, method: Method, examples: Examples) -> torch.Tensor:
        """Logits of plain images, without gradient."""
        bank = self.bench.store.testing(method.backbone, examples, pixels=method.needs_pixels)
        with torch.no_grad():
            return method.eval().logits(bank.all())

    def incompatibility(self, on: str) -> str | None:
        return self.cls.incompatibility(self.config, self.bench.backbones[on])


def describes_itself(subject: Subject) -> None:
    info = subject.cls.info
    assert info.title, "info.title is empty: say what the tables call it"
    assert info.summary, "info.summary is empty: say in a few words what is learnt"
    assert info.baseline or info.tunes, 'info.tunes is empty: name what is tuned ("text", "vision", "features")'
    assert info.baseline or subject.cls.__doc__, "the class has no docstring: give the formula and its source"
    assert info.ours or info.baseline or info.paper, "info.paper is empty: name it, or set info.ours"
    assert not info.paper or info.bibtex.startswith("@"), "info.bibtex is empty: reports cite every method"


def presets_are_valid(subject: Subject) -> None:
    cls = subject.cls
    for protocol in PROTOCOLS:
        for preset in ("paper", "small"):
            check(cls.Config, cls.preset(preset, protocol, 16, "imagenet"), where=f"preset {preset!r}")


def builds_on_both_layouts(subject: Subject) -> None:
    for on in LAYOUTS:
        why = subject.incompatibility(on)
        assert why is None or len(why.split()) > 3, f"incompatibility says {why!r}: give the reason in a sentence"
        if why is None:
            subject.build(on)


def scores_every_class(subject: Subject) -> None:
    for on in _fitting(subject):
        method = subject.build(on)
        scores = subject.scores(method, subject.bench.task.train)
        expected = (len(subject.bench.task.train), len(subject.bench.task.classes))
        assert scores.shape == expected, (
            f"logits have the shape {tuple(scores.shape)} on {on}, not {expected} (images, classes)"
        )
        assert bool(scores.isfinite().all()), f"logits are NaN or infinite on {on} before any training"


def learns(subject: Subject) -> None:
    for on in _fitting(subject):
        fresh = subject.build(on)
        before, after = fresh.tensors(), subject.trained(on).tensors()
        assert all(value.dtype == torch.float32 for value in after.values()), "what is learnt must be fp32"
        if learnt_by_gradient(fresh):
            changed = any(not torch.equal(value, before[name]) for name, value in after.items())
            assert changed, f"training on {on} changes nothing: is what it learns an nn.Parameter that the loss depends on?"


def every_parameter_gets_a_gradient(subject: Subject) -> None:
    for on in _fitting(subject):
        method = subject.build(on).train()
        learnt = learnt_by_gradient(method)
        if not learnt:
            continue
        bank = subject.bench.store.training(
            method.backbone, subject.bench.task.train, subject.bench.task.augmentation, 1, pixels=method.needs_pixels
        )
        optimizer, seen = make_optimizer(method.config.model_copy(update={"lr": 0.05}), method), set()
        for _ in range(2):  # a parameter behind a zero matrix has no gradient in the first step
            optimizer.zero_grad(set_to_none=True)
            method.backward(method.loss(bank.all()), lambda loss: loss)
            seen |= {n for n, p in method.named_parameters() if p.grad is not None and bool(p.grad.abs().max() > 0)}
            optimizer.step()
        idle = [name for name, p in method.named_parameters() if p.requires_grad and name not in seen]
        assert not idle, f"{', '.join(idle)} gets no gradient on {on}: use it in the loss, or do not make it a parameter"
        touched = [name for name, p in method.backbone.model.named_parameters() if p.grad is not None or p.requires_grad]
        assert not touched, f"the backbone's {touched[0]} gets a gradient on {on}: it must stay frozen"


def splits_as_declared(subject: Subject) -> None:
    """A batch that does not fit into memory is computed in parts. A random loss cannot be compared, and is not."""
    for on in _fitting(subject) if subject.cls.splittable else ():
        method = subject.attach(subject.trained(on), on).train()
        bank = subject.bench.store.training(
            method.backbone, subject.bench.task.train, subject.bench.task.augmentation, 1, pixels=method.needs_pixels
        )
        if not learnt_by_gradient(method) or not _alike(*(_gradients(method, [bank.all()], seed) for seed in (1, 2))):
            continue
        parts = bank.all().split(len(bank) // 3)
        same = _alike(_gradients(method, [bank.all()], 1), _gradients(method, parts, 1))
        assert same, f"the gradient of a batch is not the mean of its parts' on {on}: set splittable = False"


def _gradients(method: Method, parts: Sequence[Batch], seed: int) -> list[torch.Tensor]:
    """Of the mean of the parts' losses."""
    method.zero_grad(set_to_none=True)
    for part in parts:
        torch.manual_seed(seed)
        method.backward(method.loss(part) * (len(part) / sum(map(len, parts))), lambda loss: loss)
    return [value.grad for value in method.parameters() if value.grad is not None]


def _alike(these: Sequence[torch.Tensor], those: Sequence[torch.Tensor]) -> bool:
    close = (bool((a - b).norm() <= 1e-3 * b.norm() + 1e-6) for a, b in zip(these, those, strict=True))
    return len(these) == len(those) and all(close)


def leaves_the_backbone_alone(subject: Subject) -> None:
    for on in _fitting(subject):
        method = subject.trained(on)
        subject.scores(method, subject.bench.task.train)
        model = method.backbone.model
        assert digest(model) == method.backbone.digest, (
            f"the weights of the backbone changed on {on}: learn a change instead"
        )
        hooked = [name for name, part in model.named_modules() if part._forward_hooks or part._forward_pre_hooks]
        assert not hooked, f"a hook stays on the backbone's {hooked[0]} on {on}: remove it when the tower has run"
        assert not any(m.training for m in model.modules()), f"the backbone is left in training mode on {on}"


def saves_all_it_learns(subject: Subject) -> None:
    for on in _fitting(subject):
        method = subject.trained(on)
        extra = set(method.state_dict()) - set(method.tensors())
        assert not extra, f"{', '.join(sorted(extra))} is state that is not saved: derive it in build, without a buffer"
        here = subject.scores(method, subject.bench.task.train)
        again = subject.scores(subject.attach(method, on), subject.bench.task.train)
        assert torch.equal(here, again), f"after saving and attaching on {on} the logits differ: what else did it learn?"


def is_deterministic(subject: Subject) -> None:
    for on in _fitting(subject):
        first, second = subject.trained(on).tensors(), Subject(subject.cls, subject.bench).trained(on).tensors()
        same = all(torch.equal(value, second[name]) for name, value in first.items())
        assert same, f"two trainings with one seed differ on {on}: draw random numbers from torch only, in build or loss"


def scores_images_apart(subject: Subject) -> None:
    for on in _fitting(subject):
        method, train = subject.trained(on), subject.bench.task.train
        some = subject.scores(method, train.pick([4, 5, 6]))
        close = torch.allclose(subject.scores(method, train)[4:7], some, atol=1e-4, rtol=1e-4)
        assert close, f"the score of an image depends on which others are scored with it on {on}"


def treats_unseen_classes_as_declared(subject: Subject) -> None:
    for on in _fitting(subject):
        unseen = ClassList(tiny_clips.UNSEEN, "an icon of a {}.", "a photo of a")
        try:
            method = subject.attach(subject.trained(on), on, unseen)
            scores = subject.scores(method, subject.bench.task.train)
        except (Incompatible, RuntimeError, IndexError) as error:
            if not subject.cls.info.class_bound:
                why = f"other class names fail ({error}): set info.class_bound, or re-derive them"
                raise AssertionError(why) from None
            continue
        if not subject.cls.info.class_bound:
            assert scores.shape[1] == len(tiny_clips.UNSEEN), (
                f"with three other classes there are {scores.shape[1]} scores on {on}"
            )
            assert bool(scores.isfinite().all()), f"scores of unseen classes are NaN or infinite on {on}"


def moves_to_another_backbone(subject: Subject) -> None:
    """The old backbone must not be called once the module is attached to a new one."""
    for old, new in (("native", "eva"), ("eva", "native"), ("native", "narrow"), ("native", "wide")):
        if subject.incompatibility(old) or subject.incompatibility(new):
            continue
        method, train = subject.trained(old), subject.bench.task.train
        spies: dict[str, Any] = dict.fromkeys(CALLED, _forbidden)
        with patch.multiple(subject.bench.backbones[old], **spies):
            try:
                scores = subject.scores(subject.attach(method, new), train)
            except Incompatible as error:
                if len(str(error).split()) < 4:
                    raise AssertionError(f"Incompatible says {str(error)!r}: give the reason in a sentence") from None
                continue
        assert bool(scores.isfinite().all()), f"trained on {old}, the logits on {new} are NaN or infinite"
        own = subject.scores(subject.attach(method, old), train)
        assert not torch.allclose(own, scores), f"on {new} it scores as on {old}: the new backbone is not used"


CALLED = ("encode_image", "encode_embeddings", "tokenize", "logits")


def _forbidden(*_: Any, **__: Any) -> None:
    raise AssertionError(
        "on a new backbone it still calls the old one: keep no reference to it, derive what is needed in build"
    )


def counts_its_parameters(subject: Subject) -> None:
    info = subject.cls.info
    if not info.parameters or subject.incompatibility("native"):
        return
    formula = formula_count(subject.cls, subject.config, subject.bench.backbones["native"], subject.bench.task)
    real = sum(value.numel() for value in subject.build("native").tensors().values())
    assert formula == real, f"info.parameters gives {formula}, but there are {real} on the tiny CLIP"


def knows_its_spaces(subject: Subject) -> None:
    for on in _fitting(subject):
        method = subject.build(on)
        widths = {"tokens": method.backbone.text_width, "features": method.backbone.embed_dim}
        for name, value in method.tensors().items() if method.spaces else ():
            axes = axes_of(name, method.spaces)
            assert axes is not None, f"spaces does not name {name}; leave spaces empty if a tensor lives inside a tower"
            assert len(axes) == value.ndim, f"spaces gives {name} {len(axes)} axes, but it has {value.ndim}"
            for space, width in zip(axes, value.shape, strict=True):
                assert not space or width == widths[space], f"an axis of {name} is {width} wide, {space} are {widths[space]}"
        for pattern in method.offsets:
            named = any(fnmatchcase(name, pattern) for name in method.tensors())
            assert named, f"offsets names {pattern}, which is no learnt tensor"


def formula_count(cls: type[Method], config: Any, backbone: Backbone, task: Task) -> int:
    """``info.parameters`` evaluated for a backbone and a task."""
    values = config.model_dump() | {
        "C": len(task.classes),
        "N": len(task.train),
        "d": backbone.embed_dim,
        "d_t": backbone.text_width,
        "d_v": tower(backbone, "vision").width,
        "L_t": len(tower(backbone, "text").blocks),
        "L_v": len(tower(backbone, "vision").blocks),
    }
    code = compile(cls.info.parameters, f"info.parameters of {cls.info.name}", "eval")
    return int(eval(code, {"__builtins__": {}, "min": min, "max": max, "len": len}, values))  # noqa: S307 - a plugin's own


CHECKS: dict[str, Callable[[Subject], None]] = {
    "describes itself": describes_itself,
    "presets are valid": presets_are_valid,
    "builds on both layouts": builds_on_both_layouts,
    "scores every class": scores_every_class,
    "learns": learns,
    "every parameter gets a gradient": every_parameter_gets_a_gradient,
    "splits as declared": splits_as_declared,
    "leaves the backbone alone": leaves_the_backbone_alone,
    "saves all it learns": saves_all_it_learns,
    "is deterministic": is_deterministic,
    "scores images apart": scores_images_apart,
    "treats unseen classes as declared": treats_unseen_classes_as_declared,
    "moves to another backbone": moves_to_another_backbone,
    "counts its parameters": counts_its_parameters,
    "knows its spaces": knows_its_spaces,
}
"""In an order in which the first failure is the one to fix first."""


def run(cls: type[Method], bench: Bench) -> dict[str, str]:
    """``problems`` of a method on a bench."""
    return problems(Subject(cls, bench))


def problems(subject: Subject) -> dict[str, str]:
    """What is wrong, by check; empty where all is well. Whatever a method raises is reported and does not end the checks."""
    found = {}
    for name, test in CHECKS.items():
        found[name] = ""
        try:
            test(subject)
        except AssertionError as error:
            found[name] = str(error)
        except Exception as error:  # a method may raise anything
            found[name] = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
    return found


def _fitting(subject: Subject) -> list[str]:
    return [on for on in LAYOUTS if not subject.incompatibility(on)]
