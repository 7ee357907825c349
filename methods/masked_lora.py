"""Masked LoRA (ours): low-rank updates trained while feed-forward layers are masked at random."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import nn

from benchmark.backbones.clip import Backbone
from benchmark.backbones.towers import TowerName, tower
from benchmark.backbones.towers.attention import projections
from benchmark.method import AdamWConfig, Batch, Info, Method
from benchmark.method.lora import LowRank, unknown_attention


class MaskedLora(Method):
    """LoRA on attention (rsLoRA's scale) that cannot rely on single feed-forward units: in each training step, every hidden
    unit of a block's MLP is set to zero with probability p, and the whole MLP is skipped with probability q.

    The idea is Trans-PEFT's for language models: an update of the base model changes the feed-forward layers most, so the
    module should need them least. The extension to CLIP's two towers is ours; p, q and the optimiser are our choices.
    """

    info = Info(
        name="masked-lora",
        title="Masked LoRA (ours)",
        summary="CLIP-LoRA trained with random masks on the feed-forward layers, after Trans-PEFT",
        tunes=("text", "vision"),
        depth="deep",
        ours=True,
        paper="Adapt Once, Thrive with Updates: Transferable Parameter-Efficient Fine-Tuning on Evolving Base Models",
        year=2025,
        venue="ACL",
        url="https://arxiv.org/abs/2506.06844",
        code="https://github.com/gccnlp/Trans-PEFT",
        parameters="2 * rank * 3 * (L_t * d_t + L_v * d_v)",
        transfer="the change of weights is added to the new weights; needs towers of equal widths and numbers of layers",
        bibtex="""@inproceedings{gu2025transpeft,
  title={Adapt Once, Thrive with Updates: Transferable Parameter-Efficient Fine-Tuning on Evolving Base Models},
  author={Gu, Naibin and Fu, Peng and Liu, Xiyu and Ma, Ke and Lin, Zheng and Wang, Weiping},
  booktitle={ACL}, year={2025}}""",
    )

    class Config(AdamWConfig):
        """CLIP-LoRA's settings, and masks."""

        lr: float = Field(default=2e-4, gt=0)
        steps_per_shot: int | None = Field(default=500, ge=1)
        min_lr: float = Field(default=1e-6, ge=0)
        rank: int = Field(default=2, ge=1)
        alpha: float = Field(default=1.0, gt=0)
        dropout: float = Field(default=0.25, ge=0, lt=1)
        mask: float = Field(default=0.1, ge=0, lt=1)
        """p, for a hidden unit."""
        skip: float = Field(default=0.1, ge=0, lt=1)
        """q, for a whole MLP."""

    towers: ClassVar[tuple[TowerName, ...]] = ("text", "vision")
    offsets = ("*.up.*",)
    presets = {"small": {"steps": 20, "batch_size": 16, "lr": 0.03}}

    @property
    def needs_pixels(self) -> bool:
        return "vision" in self.towers

    @classmethod
    def incompatibility(cls, config: Any, backbone: Backbone) -> str | None:
        return unknown_attention(backbone, cls.towers)

    def build(self) -> None:
        c = self.config
        sites = [site for name in self.towers for site in projections(self.backbone, name) if site.role != "out"]
        self.lora = LowRank(sites, c.rank, c.alpha, c.dropout)

    @contextmanager
    def _within(self, name: TowerName) -> Iterator[None]:
        with self.lora.within(self.backbone, name), ExitStack() as stack:
            encoder = tower(self.backbone, name)
            for block in encoder.blocks if self.training else ():
                mlp, last = encoder.mlp(block), encoder.mlp_output(block)
                kept = torch.rand(last.in_features, device=last.weight.device) >= self.config.mask
                stack.callback(last.register_forward_pre_hook(_masking(kept)).remove)
                skipped = torch.rand((), device=last.weight.device) < self.config.skip
                stack.callback(mlp.register_forward_hook(_skipping(skipped)).remove)
            yield

    def class_features(self) -> torch.Tensor:
        def encode(ids: torch.Tensor, eot: torch.Tensor) -> torch.Tensor:
            with self._within("text"):
                return self.backbone.encode_ids(ids, eot)

        return self.template_features(encode)

    def image_features(self, batch: Batch) -> torch.Tensor:
        if batch.pixels is None:
            return super().image_features(batch)
        with self._within("vision"):
            return super().image_features(batch)


def _masking(kept: torch.Tensor) -> Callable[[nn.Module, tuple[torch.Tensor, ...]], tuple[torch.Tensor, ...]]:
    return lambda module, inputs: (inputs[0] * kept.to(inputs[0].dtype),)


def _skipping(skipped: torch.Tensor) -> Callable[[nn.Module, Any, torch.Tensor], torch.Tensor]:
    return lambda module, inputs, out: out.masked_fill(skipped, 0)


class MaskedLoraText(MaskedLora):
    """Masked LoRA in the text tower only, for backbones whose image towers differ."""

    info = replace(
        MaskedLora.info,
        name="masked-lora-text",
        title="Masked LoRA, text (ours)",
        summary="masked LoRA in the text tower",
        tunes=("text",),
        parameters="2 * rank * 3 * L_t * d_t",
    )
    towers = ("text",)
    presets = {"small": {**MaskedLora.presets["small"], "lr": 0.01}}
