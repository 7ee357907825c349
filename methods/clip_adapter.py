"""CLIP-Adapter: a small residual network after the image tower."""

from collections.abc import Mapping
from typing import Any

import torch
from pydantic import Field
from torch import nn

from benchmark.method import Batch, Incompatible, Info, Method, MethodConfig, Official
from benchmark.method.base import official_state


class ClipAdapter(Method):
    """f' = r relu(W_2 relu(W_1 f)) + (1 - r) f on un-normalised features, no biases, W_1: d -> d/4 (equations 3 and 5)."""

    info = Info(
        name="clip-adapter",
        title="CLIP-Adapter",
        summary="a residual two-layer network on image features",
        tunes=("features",),
        depth="deep",
        code="https://github.com/gaopengcuhk/CLIP-Adapter",
        parameters="2 * d * (d // reduction)",
        transfer="the network is put after the new image tower; needs an equal embedding width",
        paper="CLIP-Adapter: Better Vision-Language Models with Feature Adapters",
        year=2023,
        venue="IJCV",
        url="https://arxiv.org/abs/2110.04544",
        bibtex="""@article{gao2023clipadapter,
  title={CLIP-Adapter: Better Vision-Language Models with Feature Adapters},
  author={Gao, Peng and Geng, Shijie and Zhang, Renrui and Ma, Teli and Fang, Rongyao and others},
  journal={International Journal of Computer Vision}, year={2023}}""",
    )

    class Config(MethodConfig):
        """Defaults: no configuration was released; the official note says to follow CoOp's, so these are CoOp's."""

        epochs: int = Field(default=200, ge=0)
        ratio: float = Field(default=0.2, ge=0, le=1)
        """r, the share of the adapted features."""
        reduction: int = Field(default=4, ge=1)
        """The hidden layer has d / reduction units."""

    presets = {"small": {"steps": 150, "warmup_epochs": 0, "anneal": "step", "lr": 0.3}}

    @classmethod
    def official(cls, protocol: str, shots: int, dataset: str) -> dict[str, Any]:
        """CoOp's epochs: 50 on ImageNet and with one shot, 100 with two and four."""
        return {"epochs": 50 if dataset == "imagenet" else {1: 50, 2: 100, 4: 100}.get(shots, 200)}

    spaces = {"adapter.0.weight": ("", "features"), "adapter.2.weight": ("features", "")}

    @classmethod
    def from_official(cls, content: Mapping[str, Any]) -> Official | None:
        """``fc.0.weight`` (h, d) and ``fc.2.weight`` (d, h) of the official ``clip_adapter``. The ratio is unknown."""
        state = official_state(content)
        if state.keys() != {"fc.0.weight", "fc.2.weight"}:
            return None
        hidden, d = state["fc.0.weight"].shape
        if d // (d // hidden) != hidden:
            raise Incompatible(f"its hidden layer of {hidden} units is not d / r for any whole r")
        tensors = {"adapter.0.weight": state["fc.0.weight"], "adapter.2.weight": state["fc.2.weight"]}
        return Official({"reduction": d // hidden}, tensors, "assumed: the ratio 0.2 of the official code")

    def build(self) -> None:
        d = self.backbone.embed_dim
        hidden = max(1, d // self.config.reduction)
        self.adapter = nn.Sequential(
            nn.Linear(d, hidden, bias=False), nn.ReLU(), nn.Linear(hidden, d, bias=False), nn.ReLU()
        )

    def image_features(self, batch: Batch) -> torch.Tensor:
        features = super().image_features(batch)
        return self.config.ratio * self.adapter(features) + (1 - self.config.ratio) * features
