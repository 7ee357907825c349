"""Low-rank changes of attention projections, for methods that learn LoRA weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager

import torch
from torch import nn
from torch.nn import functional as F

from benchmark.backbones.clip import Backbone
from benchmark.backbones.towers import TowerName
from benchmark.backbones.towers.attention import Delta, Projection, adding, projections


class LowRank(nn.Module):
    """(alpha / sqrt(r)) B A dropout(x), added to the output of each projection; A random, B zero (rsLoRA's scale).

    Sources: LoRA (Hu et al. 2022), equation 3; rsLoRA (Kalajdzievski 2023) for the scale.
    """

    def __init__(self, sites: Sequence[Projection], rank: int, alpha: float, dropout: float) -> None:
        super().__init__()
        self.sites, self.dropout = list(sites), dropout
        self.scale = alpha / math.sqrt(rank)
        self.down = nn.ParameterDict({site.key: torch.empty(rank, site.d_in) for site in sites})
        self.up = nn.ParameterDict({site.key: torch.zeros(site.d_out, rank) for site in sites})
        for matrix in self.down.values():
            nn.init.kaiming_uniform_(matrix, a=math.sqrt(5))

    def within(self, backbone: Backbone, tower: TowerName) -> AbstractContextManager[None]:
        """A context in which a tower's projections are changed."""
        return adding(backbone, {site: self._delta(site) for site in self.sites if site.tower == tower})

    def _delta(self, site: Projection) -> Delta:
        def delta(x: torch.Tensor) -> torch.Tensor:
            x = F.dropout(x, self.dropout, self.training)
            return x @ self.down[site.key].T @ (self.scale * self.up[site.key].T)

        return delta


def unknown_attention(backbone: Backbone, towers: Sequence[TowerName]) -> str | None:
    """Why low-rank changes cannot be added to one of the towers; None if they can."""
    for tower in towers:
        if not projections(backbone, tower):
            return f"the attention of its {tower} tower has a layout that is not known"
    return None
