"""MaPLe: deep prompts in both towers, those of the image tower computed from those of the text tower."""

import copy
from collections.abc import Mapping
from typing import Any

import torch
from pydantic import Field
from torch import nn

from benchmark.backbones.clip import Backbone
from benchmark.backbones.towers import tower
from benchmark.backbones.towers.prompts import image_prompts, text_prompts
from benchmark.method import Batch, Info, Method, Official
from benchmark.method.base import official_state
from benchmark.method.deep_prompts import NOTE, no_deep_prompts
from benchmark.method.prompts import ContextConfig, PromptTemplate, initial_context


class Maple(Method):
    """P_0 is context, P_i (0 < i < J) replaces it before text block i, and V_i = G_i(P_i) with linear G_i enters the image
    tower (equations 4-8). All G_i with i > 0 have the same first values, as in the official code.

    The learnt context replaces the first M tokens of "a photo of a"; the others stay before the class name, as in the
    official code, which does so up to M = 4 only.
    """

    info = Info(
        name="maple",
        title="MaPLe",
        summary="deep prompts in both towers, coupled by linear maps from text to image prompts",
        tunes=("text", "vision"),
        depth="deep",
        paper="MaPLe: Multi-modal Prompt Learning",
        year=2023,
        venue="CVPR",
        url="https://arxiv.org/abs/2210.03117",
        code="https://github.com/muzairkhattak/multimodal-prompt-learning",
        parameters="min(depth, L_t, L_v) * (n_ctx * d_t + d_t * d_v + d_v)",
        transfer="prompts and maps are put into the new towers; needs towers of equal widths and as many layers",
        bibtex="""@inproceedings{khattak2023maple,
  title={{MaPLe}: Multi-modal Prompt Learning},
  author={Khattak, Muhammad Uzair and Rasheed, Hanoona and Maaz, Muhammad and Khan, Salman and Khan, Fahad Shahbaz},
  booktitle={CVPR}, year={2023}}""",
    )

    class Config(ContextConfig):
        """Defaults: the official configuration for base-to-new and few-shot."""

        lr: float = Field(default=0.0035, gt=0)
        batch_size: int = Field(default=4, ge=1)
        epochs: int = Field(default=5, ge=0)
        n_ctx: int = Field(default=2, ge=1)
        """M, tokens of each prompt."""
        depth: int = Field(default=9, ge=1)
        """J, layers with their own prompts; a tower with fewer layers has prompts in all."""

    presets = {"small": {"steps": 20, "batch_size": 16, "warmup_epochs": 0, "anneal": "step", "lr": 0.03}}

    @classmethod
    def official(cls, protocol: str, shots: int, dataset: str) -> dict[str, Any]:
        """Across data sets and domains: three layers, two epochs."""
        return {"depth": 3, "lr": 0.0026, "epochs": 2} if protocol in ("cross-dataset", "domain") else {}

    @classmethod
    def incompatibility(cls, config: Any, backbone: Backbone) -> str | None:
        return no_deep_prompts(backbone, config.n_ctx, config.n_ctx)

    @classmethod
    def from_official(cls, content: Mapping[str, Any]) -> Official | None:
        """``ctx``, ``proj``, ``compound_prompts_text`` and ``compound_prompt_projections`` of the whole model that the
        official code saves as ``MultiModalPromptLearner``; the weights of CLIP in it are not used."""
        stem = "prompt_learner."
        state = {n.removeprefix(stem): v for n, v in official_state(content).items() if n.startswith(stem)}
        if not {"ctx", "proj.weight", "proj.bias"} <= state.keys():
            return None
        tensors = {"context": state["ctx"], "first_map.weight": state["proj.weight"], "first_map.bias": state["proj.bias"]}
        count = sum(name.startswith("compound_prompts_text.") for name in state)
        if count:
            tensors["text"] = torch.stack([state[f"compound_prompts_text.{i}"] for i in range(count)])
        for i in range(count):
            for part in ("weight", "bias"):
                tensors[f"maps.{i}.{part}"] = state[f"compound_prompt_projections.{i}.{part}"]
        return Official({"n_ctx": len(state["ctx"]), "depth": count + 1}, tensors, NOTE)

    @property
    def needs_pixels(self) -> bool:
        return True

    def build(self) -> None:
        config, d_t, d_v = self.config, self.backbone.text_width, tower(self.backbone, "vision").width
        words = self.classes.first_words(config.init_words)
        self.prompt = PromptTemplate(self.backbone, self.classes, config.n_ctx, words)
        self.context = nn.Parameter(initial_context(self.backbone, words, config.n_ctx))
        deeper = min(config.depth, *(len(tower(self.backbone, name).blocks) for name in ("text", "vision"))) - 1
        self.first_map = nn.Linear(d_t, d_v)
        self.maps = nn.ModuleList()
        if deeper:
            self.text = nn.Parameter(torch.empty(deeper, config.n_ctx, d_t).normal_(std=0.02))
            start = nn.Linear(d_t, d_v)
            self.maps.extend(copy.deepcopy(start) for _ in range(deeper))

    def _deeper(self) -> list[torch.Tensor]:
        return list(self.text) if hasattr(self, "text") else []

    def class_features(self) -> torch.Tensor:
        prompts, start = dict(enumerate(self._deeper(), start=1)), self.prompt.tokens.start
        return self.prompt.encode(self.context, lambda: text_prompts(self.backbone, prompts, start))

    def image_features(self, batch: Batch) -> torch.Tensor:
        deeper = [linear(prompt) for linear, prompt in zip(self.maps, self._deeper(), strict=True)]
        assert batch.pixels is not None
        with image_prompts(self.backbone, dict(enumerate([self.first_map(self.context), *deeper]))):
            return self.backbone.encode_image(batch.pixels)
