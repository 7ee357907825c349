"""Learns, from scores alone, what the module changes; then says it in the scores of the new backbone."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from benchmark.analysis.repair_base import Case, Repair, Repaired
from benchmark.backbones.clip import Backbone
from benchmark.data.batch import ClassList
from benchmark.data.dataset import Examples, TestSet
from benchmark.method.space_maps import procrustes, whole_words
from benchmark.training.loop import derive_seed, few_shots
from benchmark.training.modules import all_scores, attach, zero_shot_of


class TransMiter(Repair):
    """Zero-shot scores l of K names, the task's own and words, have the same axes on every CLIP. On the old backbone a
    network g learns from the training images, without labels, that l + std(l) g(s) are the module's scores; s are l
    standardised over the names of each image. On the new backbone it is l + std(l) g(s Q) Q^T, Q the orthogonal map of the
    new standardised scores to the old ones on the same images, held back towards the identity.

    Source: TransMiter (AAAI 2026, arXiv 2508.08604), from its code: g = linear(4K to K) gelu linear(K to 4K) layer norm, the
    last layer zero at first; KL from the module's probabilities at temperature 0.5; half of the batches with noise of half
    the deviation; AdamW at 1e-3 with 5 % warm-up and a cosine, batches of 128, 10 epochs. Its rotation of the input within g
    cancels and is left out. K is 1,024 as there, or 4 d for towers with an embedding width d below 256; the pull to the
    identity is K / 2. The words are those of the tokenizer in the place of a list of objects. The names of new classes are
    used, as in the source, but for modules that are bound to their training classes.
    """

    name, title, effort = "transmiter", "TransMiter", 24
    slow, version = True, 2
    batch, epochs, rate, temperature = 128, 10, 1e-3, 0.5

    def apply(self, case: Case) -> Repaired:
        tested = () if case.module.cls.info.class_bound else (name for test in case.task.tests for name in test.classes)
        own = tuple(dict.fromkeys((*case.task.classes, *tested)))
        classes = ClassList(own + self._words(case, own), case.task.template)
        images = case.training_images.examples
        old, new = (_scores(case, on, classes, images) for on in (case.old, case.new))
        teacher = self._teacher(case, ClassList(own, case.task.template, case.task.context_words, case.task.ensemble))
        network, steps = self._trained(old, teacher, seed=derive_seed("transmiter", case.task.id.seed))
        pull = math.sqrt(len(classes.names) / 2) * torch.eye(len(classes.names))
        turn = procrustes(torch.cat([_standardised(new).values, pull]), torch.cat([_standardised(old).values, pull]))

        def score(test: TestSet) -> torch.Tensor | None:
            if not set(test.classes) <= set(own):
                return None
            logits = _scores(case, case.new, classes, test.examples)
            scaled = _standardised(logits)
            with torch.no_grad():
                moved = logits + scaled.deviation * (network(scaled.values @ turn) @ turn.T)
            return moved[:, [own.index(name) for name in test.classes]]

        return Repaired(score, images=len(images), steps=steps, notes={"names": len(classes.names)})

    def _words(self, case: Case, own: tuple[str, ...]) -> tuple[str, ...]:
        """Words that fill up the names, the same for every module of a seed."""
        words = sorted((whole_words(case.old) | whole_words(case.new)) - set(own))
        rng = random.Random(case.task.id.seed)
        names = min(1024, 4 * min(case.old.embed_dim, case.new.embed_dim))
        return tuple(rng.sample(words, min(len(words), max(0, names - len(own)))))

    def _teacher(self, case: Case, classes: ClassList) -> torch.Tensor:
        """The module's scores (N, C) of the training images on the old backbone."""
        module = case.module
        shown = few_shots(module.config, case.old, case.task, case.features) if module.cls.info.keeps_images else None
        method = attach(module.cls, module.config, case.old, classes, module.tensors, shown)
        return all_scores(method, case.training_images.examples, case.features, case.precision)

    def _trained(self, logits: torch.Tensor, teacher: torch.Tensor, seed: int) -> tuple[nn.Module, int]:
        """g, and how many steps it took."""
        count, width = logits.shape
        wanted = (teacher / self.temperature).softmax(1)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            first, last = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
            nn.init.xavier_uniform_(first.weight)
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
            network = nn.Sequential(nn.LayerNorm(width), first, nn.GELU(), last)
            optimizer = torch.optim.AdamW(network.parameters(), lr=self.rate, weight_decay=1e-3)
            steps = self.epochs * -(-count // self.batch)
            warm = max(1, round(0.05 * steps))
            for step, rows in enumerate(
                part for _ in range(self.epochs) for part in torch.randperm(count).split(self.batch)
            ):
                progress = (step + 1) / warm if step < warm else (1 + math.cos(math.pi * (step - warm) / (steps - warm))) / 2
                optimizer.param_groups[0]["lr"] = self.rate * progress
                given = logits[rows]
                if torch.rand(()) < 0.5:
                    given = given + torch.randn_like(given) * 0.5 * given.std(1, keepdim=True)
                scaled = _standardised(given)
                moved = given + scaled.deviation * network(scaled.values)
                student = moved[:, : wanted.shape[1]].log_softmax(1)
                optimizer.zero_grad()
                (0.5 * F.kl_div(student, wanted[rows], reduction="batchmean")).backward()
                optimizer.step()
        return network.requires_grad_(False), steps


@dataclass(frozen=True, eq=False)
class _Standardised:
    """Scores (N, K) less their mean over the names, in units of their deviation (N, 1)."""

    values: torch.Tensor
    deviation: torch.Tensor


def _standardised(logits: torch.Tensor) -> _Standardised:
    deviation = logits.std(1, keepdim=True)
    return _Standardised((logits - logits.mean(1, keepdim=True)) / (deviation + 1e-6), deviation)


def _scores(case: Case, backbone: Backbone, classes: ClassList, images: Examples) -> torch.Tensor:
    """Zero-shot scores (N, K)."""
    return all_scores(zero_shot_of(backbone, classes), images, case.features, case.precision)
