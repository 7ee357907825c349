"""VPT-deep: learnt tokens in every layer of the image tower."""

from collections.abc import Mapping
from typing import Any

import torch
from pydantic import Field
from torch import nn

from benchmark.backbones.clip import Backbone
from benchmark.backbones.towers import tower
from benchmark.backbones.towers.prompts import image_prompts
from benchmark.method import Batch, Info, Method, MethodConfig, Official
from benchmark.method.base import official_state
from benchmark.method.deep_prompts import NOTE, official_blocks


class Vpt(Method):
    """n tokens are inserted among the image tokens and replaced before each of the first D blocks (section 3.2, "deep").

    The settings are those of the baseline in MaPLe's code; class features use the data set's own template.
    """

    info = Info(
        name="vpt",
        title="VPT-deep",
        summary="learnt tokens in every layer of the image tower",
        tunes=("vision",),
        depth="deep",
        paper="Visual Prompt Tuning",
        year=2022,
        venue="ECCV",
        url="https://arxiv.org/abs/2203.12119",
        code="https://github.com/muzairkhattak/multimodal-prompt-learning",
        parameters="min(depth, L_v) * n_image * d_v",
        transfer="the tokens are put into the new image tower; needs an equal width and as many layers",
        aliases=("vpt-deep",),
        bibtex="""@inproceedings{jia2022vpt,
  title={Visual Prompt Tuning},
  author={Jia, Menglin and Tang, Luming and Chen, Bor-Chun and Cardie, Claire and Belongie, Serge and others},
  booktitle={ECCV}, year={2022}}""",
    )

    class Config(MethodConfig):
        """Defaults: ``vit_b16_c2_ep5_batch4_4`` of MaPLe's code."""

        lr: float = Field(default=0.0025, gt=0)
        batch_size: int = Field(default=4, ge=1)
        epochs: int = Field(default=5, ge=0)
        n_image: int = Field(default=8, ge=1)
        """n, tokens per layer."""
        depth: int = Field(default=12, ge=1)
        """D, layers with their own tokens; a tower with fewer layers has tokens in all."""

    presets = {"small": {"steps": 20, "batch_size": 16, "n_image": 4, "warmup_epochs": 0, "anneal": "step", "lr": 0.01}}

    @classmethod
    def incompatibility(cls, config: Any, backbone: Backbone) -> str | None:
        return tower(backbone, "vision").prompt_incompatibility()

    @classmethod
    def from_official(cls, content: Mapping[str, Any]) -> Official | None:
        """``VPT`` and ``VPT_shallow`` of the whole model that MaPLe's code saves; the weights of CLIP in it are not used."""
        state = official_state(content)
        first, deeper = state.get("image_encoder.VPT"), official_blocks(state, "image_encoder")
        if first is None or "prompt_learner.ctx" in state:
            return None
        prompts = first[None] if deeper is None else torch.cat([first[None], deeper])
        sizes = {"n_image": prompts.shape[1], "depth": len(prompts)}
        return Official(sizes, {"prompts": prompts}, NOTE)

    @property
    def needs_pixels(self) -> bool:
        return True

    def build(self) -> None:
        encoder = tower(self.backbone, "vision")
        depth = min(self.config.depth, len(encoder.blocks))
        shape = (depth, self.config.n_image, encoder.width)
        self.prompts = nn.Parameter(torch.empty(shape).normal_(std=0.02))

    def image_features(self, batch: Batch) -> torch.Tensor:
        assert batch.pixels is not None
        with image_prompts(self.backbone, dict(enumerate(self.prompts))):
            return self.backbone.encode_image(batch.pixels)
