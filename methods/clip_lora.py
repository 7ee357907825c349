"""CLIP-LoRA: low-rank updates of the attention projections of both towers."""

import math
from typing import Annotated, Literal

import torch
from pydantic import BeforeValidator, Field
from torch import nn
from torch.nn import functional as F

from benchmark.attention import Projection, adding, layers, projections
from benchmark.method import Info, Method, MethodConfig

POSITIONS = {
    "all": (0.0, 1.0),
    "bottom": (0.0, 1 / 3),
    "mid": (1 / 3, 2 / 3),
    "up": (2 / 3, 1.0),
    "half-bottom": (0.0, 0.5),
    "half-up": (0.5, 1.0),
    "top3": (0.75, 1.0),
}
"""Shares of a tower's depth. On 12 layers: 0-11, 0-3, 4-7, 8-11, 0-5, 6-11 and 9-11, the sets of the official code."""


class ClipLora(Method):
    """y = W x + (alpha / sqrt(r)) B A dropout(x) on chosen projections; B starts at zero (section 4, official code).

    The scale is rsLoRA's alpha / sqrt(r), as in the official code. The module holds A and B, so it is a change of weights
    and not weights; on another backbone the same change is added to that backbone's own projections.
    """

    info = Info(
        name="clip-lora",
        title="CLIP-LoRA",
        summary="low-rank updates of attention projections in both towers",
        tunes=("text", "vision"),
        depth="deep",
        paper="Low-Rank Few-Shot Adaptation of Vision-Language Models",
        year=2024,
        venue="CVPR Workshops",
        url="https://arxiv.org/abs/2405.18541",
        bibtex="""@inproceedings{zanella2024cliplora,
  title={Low-Rank Few-Shot Adaptation of Vision-Language Models},
  author={Zanella, Maxime and Ben Ayed, Ismail},
  booktitle={CVPR Workshops}, year={2024}}""",
    )

    class Config(MethodConfig):
        """Defaults: the official code's. It trains with s = 100 whatever the weights; here s is the backbone's own."""

        optimizer: Literal["sgd", "adamw"] = "adamw"
        lr: float = Field(default=2e-4, gt=0)
        weight_decay: float = Field(default=1e-2, ge=0)
        steps_per_shot: int | None = Field(default=500, ge=1)
        warmup_epochs: int = Field(default=0, ge=0)
        anneal: Literal["epoch", "step"] = "step"
        min_lr: float = Field(default=1e-6, ge=0)
        encoder: Literal["both", "text", "vision"] = "both"
        position: Literal["all", "bottom", "mid", "up", "half-bottom", "half-up", "top3"] = "all"
        roles: Annotated[tuple[Literal["q", "k", "v", "out"], ...], BeforeValidator(tuple)] = ("q", "k", "v")
        rank: int = Field(default=2, ge=1)
        alpha: float = Field(default=1.0, gt=0)
        dropout: float = Field(default=0.25, ge=0, lt=1)

    presets = {"small": {"steps": 20, "batch_size": 16, "lr": 0.03}}

    @classmethod
    def why_not(cls, config, backbone):
        for tower in _towers(config):
            if not projections(backbone, tower):
                return f"the attention of its {tower} tower has a layout that is not known"
        return None

    @property
    def needs_pixels(self):
        return self.config.encoder != "text"

    def build(self):
        config = self.config
        self.sites: list[Projection] = [site for tower in _towers(config) for site in self._chosen(tower)]
        self.down = nn.ParameterDict({site.key: torch.empty(config.rank, site.d_in) for site in self.sites})
        self.up = nn.ParameterDict({site.key: torch.zeros(site.d_out, config.rank) for site in self.sites})
        for matrix in self.down.values():
            nn.init.kaiming_uniform_(matrix, a=math.sqrt(5))
        self.scale = config.alpha / math.sqrt(config.rank)

    def _chosen(self, tower):
        first, last = (round(share * layers(self.backbone, tower)) for share in POSITIONS[self.config.position])
        sites = projections(self.backbone, tower)
        return [site for site in sites if first <= site.layer < last and site.role in self.config.roles]

    def _delta(self, site: Projection):
        def delta(x: torch.Tensor) -> torch.Tensor:
            x = F.dropout(x, self.config.dropout, self.training)
            return self.scale * (x @ self.down[site.key].T @ self.up[site.key].T)

        return delta

    def _adding(self, tower):
        return adding(self.backbone, {site: self._delta(site) for site in self.sites if site.tower == tower})

    def class_features(self):
        with self._adding("text"):
            return self.backbone.encode_texts(self.classes.texts())

    def image_features(self, batch):
        with self._adding("vision"):
            return super().image_features(batch)


def _towers(config):
    return ("text", "vision") if config.encoder == "both" else (config.encoder,)
