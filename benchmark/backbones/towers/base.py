"""One encoder of a CLIP under names that do not depend on which library built it.

A layout (OpenAI's ViT, a timm trunk, ...) is one subclass of ``Tower`` in ``layouts/``. What methods and analyses do inside
a tower (``attention``, ``tensors``, ``prompts`` in this package) asks the tower and never looks at the model itself.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property
from typing import Any, ClassVar, Literal

import torch
from torch import nn

from benchmark.backbones.clip import TextTower

TowerName = Literal["text", "vision"]


class Tower(ABC):
    """A transformer encoder: tokens (B, n, width) go through ``blocks``, one after the other."""

    name: ClassVar[TowerName]
    priority: ClassVar[int] = 0
    """Of the layouts that match an encoder, the one with the highest priority is used."""

    def __init__(self, module: Any) -> None:
        self.module = module

    @classmethod
    @abstractmethod
    def matches(cls, module: Any) -> bool:
        """Whether ``module`` has this layout."""

    @cached_property
    @abstractmethod
    def blocks(self) -> list[Any]:
        """The blocks, first to last; empty if the encoder is not a transformer."""

    @property
    @abstractmethod
    def width(self) -> int:
        """Width of the tokens."""

    @property
    @abstractmethod
    def final_norm(self) -> nn.Module | None:
        """The norm after the last block; None if there is none."""

    def norms(self, block: Any) -> dict[str, nn.Module]:
        """The norms of a block by their place: ``norm1`` before attention, ``norm2`` before the MLP."""
        return {"norm1": block.norm1, "norm2": block.norm2}

    def attention(self, block: Any) -> Any:
        """The attention of a block; None if it has none."""
        return getattr(block, "attn", None)

    def mlp(self, block: Any) -> nn.Module:
        """The MLP of a block."""
        mlp: nn.Module = block.mlp
        return mlp

    def mlp_output(self, block: Any) -> nn.Linear:
        """The last linear map of a block's MLP."""
        linear: nn.Linear = block.mlp.fc2
        return linear

    def projection(self) -> nn.Linear | torch.Tensor | None:
        """The linear map from the tower's output into the joint space, as a layer or as a matrix (d_in, d_out); None if
        there is none, or more than one."""
        return None

    # --- learnt tokens --------------------------------------------------------------------------------------------

    def prompt_incompatibility(self) -> str | None:
        """Why learnt tokens cannot join this tower's own; None if they can."""
        return None

    @property
    def first_token(self) -> int:
        """Where learnt tokens start: behind the class token if there is one."""
        return 1

    @property
    def entry(self) -> nn.Module:
        """The module whose input (B, n, width) learnt tokens join: what all tokens go through before the first block."""
        raise NotImplementedError

    def pooling(self) -> nn.Module | None:
        """The module that reads all tokens (B, n, width) to make one feature; learnt tokens are removed before it. None if a
        single token is read."""
        return None

    # --- parameters -----------------------------------------------------------------------------------------------

    def stages(self) -> list[dict[str, torch.Tensor]]:
        """Parameters by stage: what comes before the blocks, each block, what comes after. All together if there are no
        blocks."""
        if not self.blocks:
            return [dict(self.module.named_parameters())]
        in_blocks = {id(value) for block in self.blocks for value in block.parameters()}
        before: dict[str, torch.Tensor] = {}
        after: dict[str, torch.Tensor] = {}
        reached_blocks = False
        for name, value in self.module.named_parameters():
            if id(value) in in_blocks:
                reached_blocks = True  # parameters are registered in the order in which they are used
            elif reached_blocks and "embed" not in name and "ln_pre" not in name:
                after[name] = value
            else:
                before[name] = value
        return [before, *(dict(block.state_dict()) for block in self.blocks), after]


class TextEncoder(Tower):
    """The text encoder, whose parts ``Backbone`` has found already."""

    name = "text"
    module: TextTower

    @classmethod
    def matches(cls, module: Any) -> bool:
        return isinstance(module, TextTower)

    @cached_property
    def blocks(self) -> list[Any]:
        return list(self.module.transformer.resblocks)  # type: ignore[arg-type]

    @property
    def width(self) -> int:
        return int(self.module.token_embedding.weight.shape[1])

    @property
    def final_norm(self) -> nn.Module:
        return self.module.ln_final

    def norms(self, block: Any) -> dict[str, nn.Module]:
        return {"norm1": block.ln_1, "norm2": block.ln_2}

    def mlp_output(self, block: Any) -> nn.Linear:
        linear: nn.Linear = block.mlp.c_proj
        return linear

    def projection(self) -> nn.Linear | torch.Tensor | None:
        found: nn.Linear | torch.Tensor | None = self.module.projection
        return found

    def stages(self) -> list[dict[str, torch.Tensor]]:
        text = self.module
        before: dict[str, torch.Tensor] = {"tokens": text.token_embedding.weight, "positions": text.positional_embedding}
        after = {f"norm.{name}": value for name, value in text.ln_final.state_dict().items()}
        if isinstance(text.projection, nn.Module):
            after |= {f"projection.{name}": value for name, value in text.projection.state_dict().items()}
        elif text.projection is not None:
            after["projection"] = text.projection
        return [before, *(dict(block.state_dict()) for block in self.blocks), after]


class UnknownEncoder(Tower):
    """An image encoder without a layout of its own: it has no blocks that anything could be done to."""

    name = "vision"

    @classmethod
    def matches(cls, module: Any) -> bool:
        return False

    @cached_property
    def blocks(self) -> list[Any]:
        return []

    @property
    def width(self) -> int:
        raise ValueError(f"the width of a {type(self.module).__name__} is not known")

    @property
    def final_norm(self) -> None:
        return None

    def prompt_incompatibility(self) -> str:
        kind = type(self.module).__name__
        return f"its image tower ({kind}) is not a transformer of a known layout, so it takes no image prompts"
