"""What methods can do, found out by trying them on tiny random CLIPs rather than by believing what they declare."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch

from benchmark.data.batch import Batch, ClassList
from benchmark.method.base import Method
from benchmark.method.terms import Incompatible
from benchmark.training.checks.contract import Bench, Subject
from benchmark.training.checks.tiny_clips import UNSEEN
from benchmark.training.loop import learnt_by_gradient


@dataclass(frozen=True)
class Capability:
    """One method; every field but ``needs_images`` was tried."""

    name: str
    changes: tuple[str, ...]
    """Whose features the module changes: "text", "image"."""
    runs: tuple[str, ...]
    """The towers that run in each training step: "text", "image"."""
    unseen: bool
    """Whether it scores classes that it was not trained on."""
    other_embedding: bool
    """Whether a module fits a backbone of another embedding width."""
    other_text: bool
    """Whether a module fits a backbone of another text width."""
    other_vision: bool
    """Whether a module of OpenAI's layout fits one of EVA-02-CLIP's layout, if the widths and layers are the same."""
    needs_images: bool
    """Whether the few training images must be kept (declared)."""


def check_capabilities(methods: Mapping[str, type[Method]]) -> Iterator[Capability | None]:
    """Try every method, one after the other; None for one that cannot be built on the tiny CLIPs."""
    with torch.random.fork_rng(), Bench.make() as bench:
        for name, cls in methods.items():
            subject = Subject(cls, bench)
            fits = subject.incompatibility("native") is None and not cls.info.baseline
            yield _check(name, subject) if fits else None


def _check(name: str, subject: Subject) -> Capability:
    method = subject.build("native")
    batch = _batch(subject, method)
    return Capability(
        name=name,
        changes=_changes(method, batch),
        runs=_runs(method, batch),
        unseen=_scores_unseen(subject),
        other_embedding=_fits(subject, "native", "narrow"),
        other_text=_fits(subject, "native", "wide"),
        other_vision=_fits(subject, "twin", "eva"),
        needs_images=subject.cls.info.keeps_images,
    )


def _batch(subject: Subject, method: Method) -> Batch:
    bank = subject.bench.store.testing(method.backbone, subject.bench.task.train, pixels=method.needs_pixels)
    return bank.all()


def _changes(method: Method, batch: Batch) -> tuple[str, ...]:
    """Which features move when everything that is learnt does."""
    method.eval()
    with torch.no_grad():
        before = (method.class_features(), method.image_features(batch), method.logits(batch))
        for parameter in method.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        method.train(False)  # forget cached class features
        after = (method.class_features(), method.image_features(batch), method.logits(batch))
    moved = [not torch.allclose(one, other, atol=1e-6) for one, other in zip(before, after, strict=True)]
    named = tuple(word for word, different in zip(("text", "image"), moved, strict=False) if different)
    return named or (("scores",) if moved[2] else ())


def _runs(method: Method, batch: Batch) -> tuple[str, ...]:
    """Which towers one training step goes through."""
    if not learnt_by_gradient(method):
        return ()
    method.train()
    method.loss(batch)  # what is computed once has been computed by now
    seen: list[str] = []
    model = method.backbone.model
    towers = {"text": method.backbone.text.ln_final, "image": model.visual}
    hooks = [
        tower.register_forward_pre_hook(lambda module, inputs, word=word: seen.append(word))  # type: ignore[union-attr, misc]
        for word, tower in towers.items()
    ]
    try:
        method.loss(batch)
    finally:
        for hook in hooks:
            hook.remove()
    return tuple(word for word in towers if word in seen)


def _scores_unseen(subject: Subject) -> bool:
    if subject.cls.info.class_bound:  # its rows might still have the right shape by chance
        return False
    try:
        method = subject.attach(subject.build("native"), "native", ClassList(UNSEEN))
        return subject.scores(method, subject.bench.task.train).shape[1] == len(UNSEEN)
    except (Incompatible, RuntimeError):
        return False


def _fits(subject: Subject, old: str, new: str) -> bool:
    if subject.incompatibility(old) or subject.incompatibility(new):
        return False
    try:
        subject.attach(subject.build(old), new)
    except Incompatible:
        return False
    return True
