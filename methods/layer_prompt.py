"""One learnt prompt before one layer of the text tower, for the source paper's analysis of depth."""

from contextlib import AbstractContextManager
from typing import Any

import torch
from pydantic import Field

from benchmark.backbones.clip import Backbone
from benchmark.backbones.towers.prompts import text_prompts
from benchmark.method import Info
from benchmark.method.prompts import ContextConfig, ContextMethod, initial_context, padded_context


class LayerPrompt(ContextMethod):
    """The states of the M context tokens before text block l are replaced by learnt ones, cross-entropy on s cos(f, t_c).

    For l = 0 this is CoOp. Our choices where the paper leaves them open: up to block l the sentence is the hand-written
    prompt; the context starts at the embeddings of its words at the input, and at N(0, 0.02^2) in deeper layers, as in all
    deep-prompt methods. (Context that starts at the tower's own states, whose norms are many times larger, hardly moves;
    input context that starts at random hardly learns.)
    """

    info = Info(
        name="layer-prompt",
        title="Prompt at one layer",
        summary="learnt states of the context tokens before one layer of the text tower",
        tunes=("text",),
        depth="deep",
        listed=False,
        parameters="n_ctx * d_t",
        transfer="the states are put in at the same layer; needs an equal text width and that layer",
        paper="Towards Compatible Fine-tuning for Vision-Language Model Updates",
        year=2024,
        venue="arXiv",
        url="https://arxiv.org/abs/2412.20895",
        bibtex="""@article{wang2024contcoop,
  title={Towards Compatible Fine-tuning for Vision-Language Model Updates},
  author={Wang, Zhengbo and Liang, Jian and Sheng, Lijun and He, Ran and Wang, Zilei and Tan, Tieniu},
  journal={arXiv preprint arXiv:2412.20895}, year={2024}}""",
    )

    class Config(ContextConfig):
        """Defaults: CoOp's."""

        epochs: int = Field(default=200, ge=0)
        layer: int = Field(default=0, ge=0)
        """l, counted from the input."""

    spaces = {}  # states inside a tower live in neither of the declared spaces
    presets = {"small": {"steps": 300, "warmup_epochs": 0, "anneal": "step", "lr": 0.03}}

    @classmethod
    def depths(cls, backbone: Backbone) -> list[dict[str, Any]]:
        return [{"layer": layer} for layer in range(backbone.text_layers)]

    @classmethod
    def incompatibility(cls, config: Any, backbone: Backbone) -> str | None:
        if config.layer >= backbone.text_layers:
            return f"its text tower has {backbone.text_layers} layers, and the prompt is for layer {config.layer}"
        return super().incompatibility(config, backbone)

    def build(self) -> None:
        super().build()
        words = self.classes.context_words
        self.words = padded_context(self.backbone, words, self.config.n_ctx).to(self.backbone.device)  # (M, d_t)

    def first_context(self) -> torch.Tensor:
        return initial_context(self.backbone, "", self.config.n_ctx) if self.config.layer else super().first_context()

    def class_features(self) -> torch.Tensor:
        if self.config.layer == 0:
            return self.prompt.encode(self.context)
        return self.prompt.encode(self.words, self._inserted)

    def _inserted(self) -> AbstractContextManager[None]:
        return text_prompts(self.backbone, {self.config.layer: self.context}, self.prompt.tokens.start)
