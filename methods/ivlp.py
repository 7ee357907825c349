"""IVLP: independent prompts in several layers of both towers; the same in the text tower alone; and that as changes."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import nn

from benchmark.backbones.clip import Backbone
from benchmark.backbones.towers.prompts import text_prompts
from benchmark.method import Batch, Info, Method, Official
from benchmark.method.base import official_state
from benchmark.method.deep_prompts import FROZEN, NOTE, DeepPrompts, no_deep_prompts, official_prompts
from benchmark.method.prompts import ContextConfig, OffsetConfig, OffsetContext, offset_info


class Ivlp(Method):
    """Context at the text input and in its place before the next blocks, and tokens in the image tower, all learnt by
    cross-entropy and independent of each other (MaPLe, section 4.1, "independent V-L prompting")."""

    info = Info(
        name="ivlp",
        title="IVLP",
        summary="independent prompts in all layers of both towers",
        tunes=("text", "vision"),
        depth="deep",
        paper="MaPLe: Multi-modal Prompt Learning",
        year=2023,
        venue="CVPR",
        url="https://arxiv.org/abs/2210.03117",
        code="https://github.com/muzairkhattak/multimodal-prompt-learning",
        parameters="min(text_depth, L_t) * n_ctx * d_t + min(image_depth, L_v) * n_image * d_v",
        transfer="the tokens are put into the new towers; needs towers of equal widths and as many layers",
        bibtex="""@inproceedings{khattak2023maple,
  title={{MaPLe}: Multi-modal Prompt Learning},
  author={Khattak, Muhammad Uzair and Rasheed, Hanoona and Maaz, Muhammad and Khan, Salman and Khan, Fahad Shahbaz},
  booktitle={CVPR}, year={2023}}""",
    )

    class Config(ContextConfig):
        """Defaults: the configuration in MaPLe's code. PromptSRC's code has 4 + 4 tokens, 9 layers, 20 epochs at 0.0025."""

        lr: float = Field(default=0.0035, gt=0)
        batch_size: int = Field(default=4, ge=1)
        epochs: int = Field(default=5, ge=0)
        n_ctx: int = Field(default=2, ge=1)
        """M, context tokens."""
        text_depth: int = Field(default=12, ge=1)
        """Layers of the text tower with their own prompts, including the input."""
        n_image: int = Field(default=2, ge=0)
        """n, tokens in the image tower; 0 adds none."""
        image_depth: int = Field(default=12, ge=1)

    presets = {"small": {"steps": 20, "batch_size": 16, "warmup_epochs": 0, "anneal": "step", "lr": 0.003}}

    @classmethod
    def incompatibility(cls, config: Any, backbone: Backbone) -> str | None:
        return no_deep_prompts(backbone, config.n_ctx, config.n_image)

    @classmethod
    def from_official(cls, content: Mapping[str, Any]) -> Official | None:
        """``ctx``, ``VPT`` and ``VPT_shallow`` of the whole model that MaPLe's and PromptSRC's code saves as
        ``VLPromptLearner``; the weights of CLIP in it are not used."""
        state = official_state(content)
        tensors = official_prompts(state)
        if "prompts.image" not in tensors or any(FROZEN in name for name in state):
            return None
        return Official(_sizes(tensors), tensors, NOTE)

    @property
    def needs_pixels(self) -> bool:
        return self.config.n_image > 0

    def build(self) -> None:
        c = self.config
        words = self.classes.first_words(c.init_words)
        depths = (c.text_depth, c.n_image, c.image_depth)
        self.prompts = DeepPrompts(self.backbone, self.classes, c.n_ctx, *depths, words)

    def class_features(self) -> torch.Tensor:
        return self.prompts.class_features()

    def image_features(self, batch: Batch) -> torch.Tensor:
        if not self.needs_pixels:
            return super().image_features(batch)
        assert batch.pixels is not None
        return self.prompts.image_features(batch.pixels)


class IvlpText(Ivlp):
    """Deep language prompting: IVLP's text half (MaPLe, table 1)."""

    info = replace(
        Ivlp.info,
        name="ivlp-text",
        title="Deep language prompts",
        summary="prompts in all layers of the text tower",
        tunes=("text",),
        parameters="min(text_depth, L_t) * n_ctx * d_t",
        transfer="the tokens are put into the new text tower; needs an equal width and as many layers",
        aliases=("language-prompts",),
    )

    class Config(Ivlp.Config):
        """Defaults: the configuration in MaPLe's code."""

        lr: float = Field(default=0.0025, gt=0)
        n_ctx: int = Field(default=4, ge=1)
        n_image: int = Field(default=0, ge=0, le=0)

    presets = {"small": {"steps": 32, "batch_size": 32, "warmup_epochs": 0, "anneal": "step", "lr": 0.03}}

    @classmethod
    def from_official(cls, content: Mapping[str, Any]) -> Official | None:
        """The same without tokens in the image tower."""
        tensors = official_prompts(official_state(content))
        if "prompts.text" not in tensors or "prompts.image" in tensors:
            return None
        sizes = {name: value for name, value in _sizes(tensors).items() if "image" not in name}
        return Official(sizes, tensors, NOTE)

    @classmethod
    def depths(cls, backbone: Backbone) -> list[dict[str, Any]]:
        return [{"text_depth": count} for count in range(1, backbone.text_layers + 1)]


def _sizes(tensors: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    image = tensors.get("prompts.image")
    return {
        "n_ctx": len(tensors["prompts.context"]),
        "text_depth": 1 + len(tensors.get("prompts.text", ())),
        "n_image": 0 if image is None else image.shape[1],
        "image_depth": 12 if image is None else len(image),
    }


class IvlpTextOffset(OffsetContext):
    """Deep language prompting stored as changes: context E(words) + o_0 at the input, and before block i, up to the depth,
    o_i is added to what the current tower has made of the context's tokens by then.

    IVLP puts vectors of the old tower in the place of these tokens. All o start at zero, and go to another backbone as
    ``carry`` says; what belongs to inner layers can be scaled but not mapped. Ours.
    """

    info = replace(
        offset_info(IvlpText.info),
        name="ivlp-text-offset",
        title="Deep language prompts, offset",
        summary="changes of the context's tokens before each layer of the text tower",
        transfer="the changes, times the relatedness of the two backbones, are added in the new text tower; needs an equal "
        "width and as many layers",
        aliases=(),
    )
    spaces = {}
    offsets: ClassVar[tuple[str, ...]] = ("offset", "deeper")

    class Config(OffsetConfig, ContextConfig):
        """IVLP's for the text tower, and how the offsets go to another backbone."""

        lr: float = Field(default=0.0025, gt=0)
        batch_size: int = Field(default=4, ge=1)
        epochs: int = Field(default=5, ge=0)
        text_depth: int = Field(default=12, ge=1)
        """Layers of the text tower with their own changes, including the input."""

    presets = {"small": {"steps": 32, "batch_size": 32, "warmup_epochs": 0, "anneal": "step", "lr": 0.03}}

    def build(self) -> None:
        super().build()
        deeper = min(self.config.text_depth, self.backbone.text_layers) - 1
        if deeper:
            self.deeper = nn.Parameter(torch.zeros(deeper, self.config.n_ctx, self.backbone.text_width))

    def class_features(self) -> torch.Tensor:
        return self.prompt.encode(self.context, self._moved) if hasattr(self, "deeper") else self.prompt.encode(self.context)

    def _moved(self) -> AbstractContextManager[None]:
        changes = dict(enumerate(self.deeper, start=1))
        return text_prompts(self.backbone, changes, self.prompt.tokens.start, added=True)
