"""SigLIP's image encoder: a ViT of timm without a class token, read by an attention pool."""

from __future__ import annotations

from typing import Any

from torch import nn

from benchmark.backbones.towers.layouts.timm_vit import TimmViT


class SigLIPViT(TimmViT):
    """``vit_*_siglip_*`` of timm (Zhai et al. 2023, "Sigmoid Loss for Language Image Pre-Training"; the pool is the MAP head
    of Zhai et al. 2022, "Scaling Vision Transformers").

    Learnt tokens come before the image's own and are removed before the pool, which then reads what it was trained to read.
    """

    priority = 1

    @classmethod
    def matches(cls, module: Any) -> bool:
        return super().matches(module) and getattr(module.trunk, "global_pool", "") == "map"

    def prompt_incompatibility(self) -> str | None:
        return None

    @property
    def first_token(self) -> int:
        return int(self.trunk.num_prefix_tokens)

    def pooling(self) -> nn.Module:
        pool: nn.Module = self.trunk.attn_pool
        return pool
