"""ProGrad: CoOp whose gradient never opposes that of the zero-shot predictions."""

from collections.abc import Callable
from typing import Any

import torch
from pydantic import Field
from torch.nn import functional as F

from benchmark.method import Batch, Info
from benchmark.method.prompts import ContextConfig, ContextMethod, padded_context


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
        """Defaults: the official configuration at 8 shots and more. The teacher uses the data set's own template; the
        official code uses others."""

        epochs: int = Field(default=200, ge=0)
        n_ctx: int = Field(default=16, ge=1)
        """M, context tokens."""
        init_words: str | None = None
        """Words in the last positions of the context, after zeros; None takes the data set's own, "" starts at random."""
        strength: float = Field(default=1.0, ge=0)
        """lambda: 1 removes the opposing part, 0 is CoOp."""
        temperature: float = Field(default=1.0, gt=0)
        """T."""

    presets = {"small": {"steps": 32, "n_ctx": 4, "warmup_epochs": 0, "anneal": "step", "lr": 0.01}}

    @classmethod
    def official(cls, protocol: str, shots: int, dataset: str) -> dict[str, Any]:
        """Epochs by shots."""
        return {"epochs": {1: 50, 2: 100, 4: 100}.get(shots, 200)}

    def first_context(self) -> torch.Tensor:
        words = self.classes.first_words(self.config.init_words)
        return padded_context(self.backbone, words, self.config.n_ctx) if words else super().first_context()

    def class_features(self) -> torch.Tensor:
        return self.prompt.encode(self.context)

    def loss(self, batch: Batch) -> torch.Tensor:
        features, t = self.image_features(batch), self.config.temperature
        logits = self.backbone.logits(features, self.class_features())
        teacher = self.backbone.logits(features, self.zero_shot_features).div(t).softmax(-1)
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
