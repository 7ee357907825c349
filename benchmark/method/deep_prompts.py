"""Prompts in several layers of both towers, independent of each other, for methods that learn them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager

import torch
from torch import nn

from benchmark.backbones.clip import Backbone
from benchmark.backbones.towers import tower
from benchmark.backbones.towers.prompts import image_prompts, text_prompts
from benchmark.data.batch import ClassList
from benchmark.method.prompts import PromptTemplate, initial_context, too_much_context

FROZEN = "ZS_image_encoder"
"""Part of the names of PromptSRC's frozen teacher in its checkpoints; those of IVLP have none."""
NOTE = "without the weights of CLIP in the file"


class DeepPrompts(nn.Module):
    """Context (M, d_t) at the text input, ``text`` (D_t - 1, M, d_t) in its place before the next blocks, and ``image``
    (D_v, n, d_v) in the image tower; deeper ones start at N(0, 0.02^2). A depth beyond a tower's own is cut. The context
    takes the place of the first M tokens of ``words``, whose others stay; the official code does so up to M = 4 only.

    Source: IVLP, the baseline of MaPLe (Khattak et al. 2023), section 4.1 and official code.
    """

    def __init__(
        self, backbone: Backbone, classes: ClassList, n_ctx: int, text_depth: int, n_image: int, image_depth: int, words: str
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.prompt = PromptTemplate(backbone, classes, n_ctx, words)
        self.context = nn.Parameter(initial_context(backbone, words, n_ctx))
        deeper = min(text_depth, len(tower(backbone, "text").blocks)) - 1
        if deeper:
            self.text = nn.Parameter(torch.empty(deeper, n_ctx, backbone.text_width).normal_(std=0.02))
        depth = min(image_depth, len(tower(backbone, "vision").blocks)) if n_image else 0
        if depth:
            self.image = nn.Parameter(torch.empty(depth, n_image, tower(backbone, "vision").width).normal_(std=0.02))

    def class_features(self) -> torch.Tensor:
        """Text features (C, d)."""
        return self.prompt.encode(self.context, self._in_text) if hasattr(self, "text") else self.prompt.encode(self.context)

    def _in_text(self) -> AbstractContextManager[None]:
        return text_prompts(self.backbone, dict(enumerate(self.text, start=1)), self.prompt.tokens.start)

    def image_features(self, pixels: torch.Tensor) -> torch.Tensor:
        """Image features (B, d)."""
        with image_prompts(self.backbone, dict(enumerate(self.image))):
            return self.backbone.encode_image(pixels)


def official_blocks(state: Mapping[str, torch.Tensor], encoder: str) -> torch.Tensor | None:
    """The tokens (D - 1, n, d) of the second to the D-th block in a checkpoint of MaPLe's or PromptSRC's code; None if there
    are none. ``encoder``: text_encoder or image_encoder."""
    names = [f"{encoder}.transformer.resblocks.{i}.VPT_shallow" for i in range(1, len(state))]
    found = [state[name] for name in names if name in state]
    return torch.stack(found) if found else None


def official_prompts(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The learnt tensors of ``DeepPrompts`` in a checkpoint of MaPLe's or PromptSRC's code; the frozen CLIP next to them is
    left out. Empty if there is no context."""
    if "prompt_learner.ctx" not in state:
        return {}
    tensors = {"prompts.context": state["prompt_learner.ctx"]}
    text, image = official_blocks(state, "text_encoder"), official_blocks(state, "image_encoder")
    if text is not None:
        tensors["prompts.text"] = text
    first = state.get("image_encoder.VPT")
    if first is not None:
        tensors["prompts.image"] = first[None] if image is None else torch.cat([first[None], image])
    return tensors


def no_deep_prompts(backbone: Backbone, n_ctx: int, n_image: int) -> str | None:
    """Why such prompts cannot enter a backbone; None if they can."""
    return too_much_context(backbone, n_ctx) or (tower(backbone, "vision").prompt_incompatibility() if n_image else None)
