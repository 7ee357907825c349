"""CLAP and ZS-LP: a linear classifier that starts at the text features, with and without a class-adaptive penalty."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional as F

from benchmark.method import Batch, Info, Method, MethodConfig, Official
from benchmark.method.base import official_state

PAPER = Info(
    name="",
    title="",
    summary="",
    tunes=("features",),
    depth="deep",
    class_bound=True,
    paper="A Closer Look at the Few-Shot Adaptation of Large Vision-Language Models",
    year=2024,
    venue="CVPR",
    url="https://arxiv.org/abs/2312.12730",
    code="https://github.com/jusiro/CLAP",
    parameters="C * d",
    transfer="the prototypes' change is added to the new text features; needs an equal embedding width",
    bibtex="""@inproceedings{silva2024clap,
  title={A Closer Look at the Few-Shot Adaptation of Large Vision-Language Models},
  author={Silva-Rodr{\\'\\i}guez, Julio and Hajimiri, Sina and Ben Ayed, Ismail and Dolz, Jose},
  booktitle={CVPR}, year={2024}}""",
)
"""What the two methods share."""


class _Prototypes(Method):
    """Prototypes w = t + change, t the mean of the un-normalised text features over the templates; s cos(f, w).

    As in the official code, batches are drawn from the pool of all views of all images. Underscores in class names become
    spaces, which the official code omits.
    """

    class Config(MethodConfig):
        """Defaults: the official configuration ``SGD_lr1e-1_B256_ep300``, with its twenty views."""

        lr: float = Field(default=0.1, gt=0)
        weight_decay: float = Field(default=0.0, ge=0)
        batch_size: int = Field(default=256, ge=1)
        epochs: int = Field(default=300, ge=0)
        views: int = Field(default=20, ge=1)
        pool_views: bool = True

    presets = {
        "small": {
            "steps": 150,
            "batch_size": 32,
            "warmup_epochs": 0,
            "anneal": "step",
            "views": 4,
            "pool_views": False,
            "lr": 1.0,
        }
    }
    spaces = {"change": ("", "features")}
    offsets = ("change",)

    def build(self) -> None:
        self.texts = self.ensemble_features(self.classes.templates, normalise=False)
        self.change = nn.Parameter(torch.zeros(self.texts.shape))

    def class_features(self) -> torch.Tensor:
        return self.texts + self.change


class ZsLp(_Prototypes):
    """Cross-entropy alone (section 4.1). The module is the change, so on another backbone
    it is added to that backbone's text features."""

    info = replace(PAPER, name="zs-lp", title="ZS-LP", summary="a linear classifier that starts at the text features")


class Clap(_Prototypes):
    """L = L_ce + mean_c lambda_c |w_c - t_c|^2, lambda_c the mean zero-shot probability of the true class over the training
    images of c (equations 8 and 10; "l2" of the official code, where lambda stays fixed).
    """

    info = replace(
        PAPER, name="clap", title="CLAP", summary="ZS-LP with a penalty for every class on leaving the text feature"
    )

    @classmethod
    def from_official(cls, content: Mapping[str, Any]) -> Official | None:
        """``prototypes`` (C, d) of the official ``adapter``, less its ``base_text_features``. A file of ZS-LP looks the
        same, and its module scores in the same way."""
        state = official_state(content)
        if not {"prototypes", "base_text_features"} <= state.keys() or state.keys() & {"cache_keys", "mlp.0.weight"}:
            return None
        change = state["prototypes"].float() - state["base_text_features"].float()
        note = "assumed: trained from the text features (CLAP or ZS-LP), classes in the order of the data set"
        return Official({}, {"change": change}, note)

    def loss(self, batch: Batch) -> torch.Tensor:
        return super().loss(batch) + (self.multipliers * self.change.square().sum(-1)).mean()

    @cached_property
    def multipliers(self) -> torch.Tensor:
        """lambda (C,), from the training images; 0 for a class without any."""
        assert self.few_shots is not None  # there during training
        with torch.no_grad():
            features, labels = self.few_shots.encode(self.config.views), self.few_shots.labels
            scores = self.backbone.logits(features.flatten(0, 1), self.texts).softmax(-1)
            members = F.one_hot(labels.repeat(len(features)), scores.shape[1]).to(scores)
            return (scores * members).sum(0) / members.sum(0).clamp_min(1)
