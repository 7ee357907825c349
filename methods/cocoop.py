"""CoCoOp: conditional context optimisation. A small network shifts CoOp's context according to the image."""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional as F

from benchmark.method import Batch, Incompatible, Info, Official, official_state
from benchmark.method.prompts import ContextConfig, ContextMethod, OffsetConfig, OffsetContext, offset_info

OFFICIAL_NAMES = {
    "ctx": "context",
    "meta_net.linear1.weight": "meta_net.0.weight",
    "meta_net.linear1.bias": "meta_net.0.bias",
    "meta_net.linear2.weight": "meta_net.2.weight",
    "meta_net.linear2.bias": "meta_net.2.bias",
}
"""Parameters of the official ``prompt_learner`` and of this method."""


class CoCoOp(ContextMethod):
    """v_m(f) = v_m + h(f / |f|), h = Linear(d, d/16), ReLU, Linear(d/16, d_t); one prompt per image and class (equation 3).

    The paper trains with batches of one image because every image has prompts of its own; here the (image, class) pairs
    of a batch go through the text tower together.
    """

    info = Info(
        name="cocoop",
        title="CoCoOp",
        summary="CoOp whose context is shifted by a small network that sees the image",
        tunes=("text",),
        depth="shallow",
        code="https://github.com/KaiyangZhou/CoOp",
        parameters="n_ctx * d_t + (d + 1) * (d // reduction) + (d // reduction + 1) * d_t",
        transfer="context and network as they are; needs equal widths of text and embedding",
        paper="Conditional Prompt Learning for Vision-Language Models",
        year=2022,
        venue="CVPR",
        url="https://arxiv.org/abs/2203.05557",
        bibtex="""@inproceedings{zhou2022cocoop,
  title={Conditional Prompt Learning for Vision-Language Models},
  author={Zhou, Kaiyang and Yang, Jingkang and Loy, Chen Change and Liu, Ziwei},
  booktitle={CVPR}, year={2022}}""",
    )

    class Config(ContextConfig):
        """Defaults: the settings of CoCoOp's code (``vit_b16_c4_ep10_batch1_ctxv1``)."""

        batch_size: int = Field(default=1, ge=1)
        epochs: int = Field(default=10, ge=0)
        reduction: int = Field(default=16, ge=1)
        """The network's hidden layer has d / reduction units."""
        rows: int = Field(default=1024, ge=1)
        """Most (image, class) prompts that go through the text tower at once while testing; bounds memory only."""

    spaces = {
        **ContextMethod.spaces,
        "meta_net.0.weight": ("", "features"),
        "meta_net.0.bias": ("",),
        "meta_net.2.weight": ("tokens", ""),
        "meta_net.2.bias": ("tokens",),
    }
    presets = {"small": {"steps": 24, "batch_size": 4, "warmup_epochs": 0, "anneal": "step", "lr": 0.003}}

    @classmethod
    def from_official(cls, content: Mapping[str, Any]) -> Official | None:
        """The official ``prompt_learner``. Its network narrows to d / 16, unlike the unused one in KgCoOp's files."""
        state = official_state(content)
        if state.keys() - {"token_prefix", "token_suffix"} != OFFICIAL_NAMES.keys():
            return None
        hidden, d = state["meta_net.linear1.weight"].shape
        if hidden >= d:
            return None
        reduction = next((r for r in (16, d // hidden) if max(1, d // r) == hidden), None)
        if reduction is None:
            raise Incompatible(f"its network has {hidden} hidden units, which is not d / r for any whole r (d = {d})")
        settings = {"n_ctx": len(state["ctx"]), "reduction": reduction}
        return Official(settings, {own: state[name] for name, own in OFFICIAL_NAMES.items()})

    def build(self) -> None:
        config, d = self.config, self.backbone.embed_dim
        super().build()
        hidden = max(1, d // config.reduction)
        self.meta_net = nn.Sequential(nn.Linear(d, hidden), nn.ReLU(), nn.Linear(hidden, self.backbone.text_width))

    def logits(self, batch: Batch) -> torch.Tensor:
        features = self.image_features(batch)
        many = len(features) if self.training else max(1, self.config.rows // len(self.classes.names))
        return torch.cat([self._conditional_logits(part) for part in features.split(many)])

    def _conditional_logits(self, features: torch.Tensor) -> torch.Tensor:
        """Scores (B, C) of image features (B, d), each against the prompts made for its image."""
        shift = self.meta_net(F.normalize(features, dim=-1))
        contexts = self.context + shift[:, None]  # (B, M, d_t)
        return self.backbone.logits(features, self.prompt.encode_each(contexts))


class CoCoOpOffset(OffsetContext, CoCoOp):
    """CoCoOp whose context is stored as its change from the current backbone's words (``OffsetContext``)."""

    info = offset_info(CoCoOp.info)
    spaces = {**CoCoOp.spaces, **OffsetContext.spaces}
    offsets: ClassVar[tuple[str, ...]] = ("offset", "meta_net.2.*")
    presets = {"small": {**CoCoOp.presets["small"], "lr": 0.03}}

    class Config(OffsetConfig, CoCoOp.Config):
        """CoCoOp's, and how the offset goes to another backbone."""
