"""Maps the new backbone's image features into the old joint space, where the module is at home."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import nn
from torch.nn import functional as F

from benchmark.analysis.repair_base import Case, Repair, Repaired
from benchmark.data.batch import Batch, ClassList, FewShots
from benchmark.data.dataset import TestSet
from benchmark.data.features import CHUNK
from benchmark.method.base import Method, MethodConfig
from benchmark.method.space_maps import Fit, procrustes, ridge
from benchmark.method.terms import Incompatible
from benchmark.training.loop import derive_seed, few_shots
from benchmark.training.modules import Module, attach
from benchmark.training.scoring import mixture

Map = Callable[[torch.Tensor], torch.Tensor]
Words = tuple[torch.Tensor, torch.Tensor]
"""New and old text features (W, b) and (W, a) of the same words."""
EVERY = 3
"""One image of so many is held out when a map is judged."""


class FeatureMap(Repair):
    """f_old ~ m(f_new), fitted on the task's training images without their labels. The module then works as on the old
    backbone, with the old text tower and without the old image tower. For modules that need no pixels; widths may differ.

    Source: Drift-Adapter (EMNLP 2025, arXiv 2509.23471), which maps new queries into the space of an old index. Here m is an
    orthogonal map of centred, normalised features. As few images say nothing about most directions, it is fitted on the text
    features of words as well, with the same weight; our choice.
    """

    name, title, effort = "feature-rotation", "image features rotated back", 21
    keeps = "the old text tower, for new class names"

    def apply(self, case: Case) -> Repaired:
        method = self._attached(case, case.task.class_list())
        if method.needs_pixels:
            raise Incompatible("it works inside the image tower")
        images = case.training_images.examples
        old, new = (case.features.testing(on, images, pixels=False).all().features for on in (case.old, case.new))
        assert old is not None
        assert new is not None
        old, new = F.normalize(old, dim=-1).cpu(), F.normalize(new, dim=-1).cpu()
        words = self._words(case)
        held_out = torch.arange(len(new)) % EVERY == EVERY - 1
        trial = self.fitted(new[~held_out], old[~held_out], words)
        agreement = float(F.cosine_similarity(trial(new[held_out]), old[held_out]).mean())
        mapped = self.fitted(new, old, words)

        def score(test: TestSet) -> torch.Tensor | None:
            classes = case.task.class_list(test)
            if case.module.cls.info.class_bound and classes.names != case.task.classes:
                return None
            method = self._attached(case, classes)
            features = case.features.testing(case.new, test.examples, pixels=False).all().features
            assert features is not None
            device = case.old.device
            inputs = mapped(F.normalize(features, dim=-1).cpu()).to(device)
            labels = torch.zeros(len(inputs), dtype=torch.long, device=device)
            with torch.no_grad(), case.old.computing_in(case.precision):
                parts = zip(labels.split(CHUNK), inputs.split(CHUNK), strict=True)
                return torch.cat([method.logits(Batch(some, features=part)).float().cpu() for some, part in parts])

        return Repaired(score, images=len(images), notes={"held_out_cosine": agreement})

    def fitted(self, new: torch.Tensor, old: torch.Tensor, words: Words | None = None) -> Map:
        """m, from normalised features (N, b) and (N, a) of the same images, and those of the same words if there are any."""
        return _linear(new, old, words, procrustes)

    def _words(self, case: Case) -> Words | None:
        try:
            old, new = case.passage.word_vectors("features")
        except ValueError:
            return None
        return new, old

    def _attached(self, case: Case, classes: ClassList) -> Method:
        module = case.module
        shown: FewShots | None = None
        if module.cls.info.keeps_images:
            shown = few_shots(module.config, case.old, case.task, case.features)
        return attach(module.cls, module.config, case.old, classes, module.tensors, shown)


class RotatedBoth(FeatureMap):
    """Probabilities of the module on rotated image features and of the new backbone without a module are averaged with equal
    weights: what running both backbones gives, with the new image tower alone. Ours."""

    name, title, effort = "rotated-both", "rotated back, and zero-shot", 22
    trusted = True

    def apply(self, case: Case) -> Repaired:
        rotated = super().apply(case)
        return replace(rotated, scorer=mixture([(0.5, rotated.scorer), (0.5, case.zero_shot(case.new))]))


class RotatedBothZeroShot(RotatedBoth):
    """Neither has a module."""

    name, title, effort = "rotated-both-zero-shot", "rotated back, and zero-shot, without a module", 22
    control, trusted = True, False

    def apply(self, case: Case) -> Repaired:
        plain = Module(Method, MethodConfig(), {}, case.module.classes)
        return super().apply(replace(case, module=plain))


class FeatureRidge(FeatureMap):
    """With a ridge regression of centred features in the place of the rotation."""

    name, title, effort = "feature-ridge", "image features mapped back", 23

    def fitted(self, new: torch.Tensor, old: torch.Tensor, words: Words | None = None) -> Map:
        return _linear(new, old, words, ridge)


class FeatureMlp(FeatureMap):
    """With a residual network after the rotation: m(x) = r + W2 gelu(W1 r) of the rotated feature r; W2 starts at zero."""

    name, title, effort = "feature-mlp", "image features mapped back by a network", 23
    slow = True
    hidden, trained_for, rate = 256, 200, 1e-3

    def fitted(self, new: torch.Tensor, old: torch.Tensor, words: Words | None = None) -> Map:
        rotate = _linear(new, old, words, procrustes)
        inputs, width = rotate(new), old.shape[1]
        with torch.random.fork_rng():
            torch.manual_seed(derive_seed("feature-mlp", len(new)))
            network = nn.Sequential(nn.Linear(width, self.hidden), nn.GELU(), nn.Linear(self.hidden, width))
        nn.init.zeros_(network[-1].weight)  # type: ignore[arg-type]
        nn.init.zeros_(network[-1].bias)  # type: ignore[arg-type]
        optimizer = torch.optim.AdamW(network.parameters(), lr=self.rate, weight_decay=1e-2)
        for _ in range(self.trained_for):
            optimizer.zero_grad()
            loss = (1 - F.cosine_similarity(inputs + network(inputs), old)).mean()
            loss.backward()
            optimizer.step()
        network.requires_grad_(False)
        return lambda x: rotate(x) + network(rotate(x))


def _linear(new: torch.Tensor, old: torch.Tensor, words: Words | None, fit: Fit) -> Map:
    """From features less the mean of the new ones, to features with the mean of the old ones."""
    start, end = new.mean(0), old.mean(0)
    before, after = new - start, old - end
    if words is not None:
        its, theirs = (side - side.mean(0) for side in words)
        before, after = (
            torch.cat([images, side * (images.norm() / side.norm())]) for images, side in ((before, its), (after, theirs))
        )
    matrix = fit(before, after)
    return lambda x: (x - start) @ matrix + end
