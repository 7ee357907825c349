"""ProGrad: CoOp whose gradient never opposes that of the zero-shot predictions."""

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch
from pydantic import Field
from torch.nn import functional as F

from benchmark.method import Batch, Info
from benchmark.method.prompts import (
    ContextConfig,
    ContextMethod,
    OffsetConfig,
    OffsetContext,
    PromptTemplate,
    offset_info,
    padded_context,
    token_count,
)

TEMPLATES = {
    "oxford-pets": "a type of pet, a photo of a {}.",
    "oxford-flowers": "a type of flower, a photo of a {}.",
    "fgvc-aircraft": "a type of aircraft, a photo of a {}.",
    "dtd": "a texture of {}.",
    "eurosat": "a centered satellite photo of {}.",
    "food101": "a type of food, a photo of {}.",
    "ucf101": "a photo of a person doing {}.",
}
"""The official code's sentences by data set; "a photo of a {}." on all others."""
WEAKER = frozenset(("oxford-flowers", "dtd", "eurosat"))
"""Data sets with lambda = 0.8 at 8 and 16 shots in the official scripts."""


class ProGrad(ContextMethod):
    """CoOp's prompt; where the gradients g of L_ce and h of L_kl disagree, g - lambda (g . h / |h|^2) h is followed, else g
    (equation 4). L_kl is the cross-entropy with the zero-shot predictions at temperature T (equation 3).
    """

    info = Info(
        name="prograd",
        title="ProGrad",
        summary="CoOp whose gradient may not oppose that of the zero-shot predictions",
        tunes=("text",),
        depth="shallow",
        paper="Prompt-aligned Gradient for Prompt Tuning",
        year=2023,
        venue="ICCV",
        url="https://arxiv.org/abs/2205.14865",
        code="https://github.com/BeierZhu/Prompt-align",
        parameters="n_ctx * d_t",
        transfer="the vectors are put before the names in the new tower's embedding space; needs an equal text width",
        bibtex="""@inproceedings{zhu2023prograd,
  title={Prompt-aligned Gradient for Prompt Tuning},
  author={Zhu, Beier and Niu, Yulei and Han, Yucheng and Wu, Yue and Zhang, Hanwang},
  booktitle={ICCV}, year={2023}}""",
    )

    class Config(ContextConfig):
        """Defaults: the official configuration at 8 shots and more."""

        epochs: int = Field(default=200, ge=0)
        n_ctx: int = Field(default=16, ge=1)
        """M, context tokens."""
        init_words: str | None = None
        """Words in the last positions of the context, after zeros; None takes the data set's own, "" starts at random. The
        official code counts words, not tokens, so for each comma one more word stays fixed before the class name."""
        template: str | None = None
        """The teacher's sentence with one {}; None takes the data set's own."""
        strength: float = Field(default=1.0, ge=0)
        """lambda: 1 removes the opposing part, 0 is CoOp."""
        temperature: float = Field(default=1.0, gt=0)
        """T."""

    presets = {"small": {"steps": 32, "n_ctx": 4, "warmup_epochs": 0, "anneal": "step", "lr": 0.01}}
    splittable = False  # which part of a gradient is left out depends on the whole batch

    @classmethod
    def official(cls, protocol: str, shots: int, dataset: str) -> dict[str, Any]:
        """Epochs by shots, lambda by data set and shots, and the sentence by data set."""
        template = TEMPLATES.get(dataset, "a photo of a {}.")
        strength = 0.8 if dataset in WEAKER and shots in (8, 16) else 1.0
        epochs = {1: 50, 2: 100, 4: 100}.get(shots, 200)
        return {"epochs": epochs, "strength": strength, "template": template, "init_words": template.split(" {}")[0]}

    def build(self) -> None:
        super().build()
        words = self.classes.first_words(self.config.init_words)
        if fixed := " ".join(words.split()[len(words.split()) - words.count(",") :]):
            names = tuple(f"{fixed} {name}" for name in self.classes.names)
            self.prompt = PromptTemplate(self.backbone, replace(self.classes, names=names), self.config.n_ctx)

    def first_context(self) -> torch.Tensor:
        words = self.classes.first_words(self.config.init_words)
        if not words:
            return super().first_context()
        places = token_count(self.backbone, words) - words.count(",")
        return padded_context(self.backbone, words, self.config.n_ctx, places)

    @cached_property
    def teacher_features(self) -> torch.Tensor:
        """Un-normalised text features (C, d) of the teacher's sentence."""
        with torch.no_grad():
            return self.template_features(self.backbone.encode_ids, self.config.template)

    def class_features(self) -> torch.Tensor:
        return self.prompt.encode(self.context)

    def loss(self, batch: Batch) -> torch.Tensor:
        features, t = self.image_features(batch), self.config.temperature
        logits = self.backbone.logits(features, self.class_features())
        teacher = self.backbone.logits(features, self.teacher_features).div(t).softmax(-1)
        self._general = -t * t * (teacher * logits.div(t).log_softmax(-1)).sum(-1).mean()
        return F.cross_entropy(logits, batch.labels)

    def backward(self, loss: torch.Tensor, scale: Callable[[torch.Tensor], torch.Tensor]) -> None:
        learnt = list(self.parameters())
        gradients = torch.autograd.grad(scale(loss), learnt, retain_graph=True)
        general = torch.autograd.grad(scale(self._general), learnt)
        del self._general  # it holds the graph
        for parameter, g, h in zip(learnt, gradients, general, strict=True):
            along = (g * h).sum()
            opposing = torch.where(along < 0, along / h.square().sum().clamp_min(1e-30), 0.0)
            parameter.grad = g - self.config.strength * opposing * h


class ProGradOffset(OffsetContext, ProGrad):
    """ProGrad whose context is stored as its change from the current backbone's words (``OffsetContext``)."""

    info = offset_info(ProGrad.info)
    presets = {"small": {**ProGrad.presets["small"], "lr": 0.03}}

    class Config(OffsetConfig, ProGrad.Config):
        """ProGrad's, and how the offset goes to another backbone."""
