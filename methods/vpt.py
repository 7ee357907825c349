"""VPT-deep: learnt tokens in every layer of the image tower."""

import torch
from pydantic import Field
from torch import nn

from benchmark.backbones.towers import tower
from benchmark.backbones.towers.prompts import image_prompts
from benchmark.method import Info, Method, MethodConfig


class Vpt(Method):
    """n tokens join the image tokens and are replaced by others before each of the first D blocks (section 3.2, "deep").

    The settings are those of the baseline in MaPLe's code; the text is the data set's own template.
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
        """n, tokens in a layer."""
        depth: int = Field(default=12, ge=1)
        """D, layers with tokens of their own; a tower with fewer has them in all."""

    presets = {"small": {"steps": 20, "batch_size": 16, "n_image": 4, "warmup_epochs": 0, "anneal": "step", "lr": 0.01}}

    @classmethod
    def incompatibility(cls, config, backbone):
        return tower(backbone, "vision").prompt_incompatibility()

    @property
    def needs_pixels(self):
        return True

    def build(self):
        encoder = tower(self.backbone, "vision")
        depth = min(self.config.depth, len(encoder.blocks))
        shape = (depth, self.config.n_image, encoder.width)
        self.prompts = nn.Parameter(torch.empty(shape).normal_(std=0.02))

    def image_features(self, batch):
        with image_prompts(self.backbone, dict(enumerate(self.prompts))):
            return self.backbone.encode_image(batch.pixels)
