"""ViTs of timm, as open_clip wraps them: plain ones and EVA-02's."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from torch import nn

from benchmark.backbones.towers.base import Tower


class TimmViT(Tower):
    """A ``TimmModel`` whose trunk has blocks, such as ``VisionTransformer`` (fused q, k, v) and ``Eva`` (separate ones)."""

    name = "vision"

    @classmethod
    def matches(cls, module: Any) -> bool:
        return hasattr(getattr(module, "trunk", None), "blocks")

    @property
    def trunk(self) -> Any:
        return self.module.trunk

    @cached_property
    def blocks(self) -> list[Any]:
        return list(self.trunk.blocks)

    @property
    def width(self) -> int:
        return int(self.trunk.embed_dim)

    @property
    def final_norm(self) -> nn.Module | None:
        return getattr(self.trunk, "norm", None)

    def prompt_incompatibility(self) -> str | None:
        if self.trunk.global_pool == "token":
            return None
        return "its image tower does not read a class token, so image prompts would change what it reads"

    @property
    def entry(self) -> nn.Module:
        entry: nn.Module = self.trunk.norm_pre
        return entry
