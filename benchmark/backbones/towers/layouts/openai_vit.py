"""open_clip's own ViT, the layout of OpenAI's and LAION's models."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import torch
from torch import nn

from benchmark.backbones.towers.base import Tower


class OpenAIViT(Tower):
    """``VisionTransformer`` of open_clip: class token, packed attention, norms ``ln_1`` and ``ln_2``."""

    name = "vision"

    @classmethod
    def matches(cls, module: Any) -> bool:
        return hasattr(module, "transformer") and hasattr(module, "class_embedding")

    @cached_property
    def blocks(self) -> list[Any]:
        return list(self.module.transformer.resblocks)

    @property
    def width(self) -> int:
        return int(self.module.class_embedding.shape[0])

    @property
    def final_norm(self) -> nn.Module | None:
        return getattr(self.module, "ln_post", None)

    def norms(self, block: Any) -> dict[str, nn.Module]:
        return {"norm1": block.ln_1, "norm2": block.ln_2}

    def mlp_output(self, block: Any) -> nn.Linear:
        linear: nn.Linear = block.mlp.c_proj
        return linear

    def projection(self) -> torch.Tensor | None:
        matrix: torch.Tensor | None = getattr(self.module, "proj", None)
        return matrix

    def prompt_incompatibility(self) -> str | None:
        if self.module.pool_type == "tok":
            return None
        return "its image tower does not read a class token, so image prompts would change what it reads"

    @property
    def entry(self) -> nn.Module:
        entry: nn.Module = self.module.ln_pre
        return entry
