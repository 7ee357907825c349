"""KgCoOp: CoOp kept near the hand-written prompts by a penalty on the distance of the class features."""

from collections.abc import Mapping
from typing import Any

import torch
from pydantic import Field
from torch.nn import functional as F

from benchmark.method import Batch, Info, Official, official_state
from benchmark.method.prompts import ContextConfig, ContextMethod, OffsetConfig, OffsetContext, offset_info

UNUSED = ("bias_vectors", "meta_net.", "adapter")
"""Parameters that the official code saves in addition to the context and never uses."""


class KgCoOp(ContextMethod):
    """CoOp's prompt with L = L_ce + W (1 - mean_c cos(t_c, t0_c)), t0 from the hand-written template (equations 4-6).

    t0 is of the data set's own template, and the context starts at its own words; the official code has another template for
    DTD, and starts at "a photo of a" everywhere.
    """

    info = Info(
        name="kgcoop",
        title="KgCoOp",
        summary="CoOp with a penalty on the distance from the hand-written prompts",
        tunes=("text",),
        depth="shallow",
        paper="Visual-Language Prompt Tuning with Knowledge-guided Context Optimization",
        year=2023,
        venue="CVPR",
        url="https://arxiv.org/abs/2303.13283",
        code="https://github.com/htyao89/KgCoOp",
        parameters="n_ctx * d_t",
        transfer="the vectors are put before the names in the new tower's embedding space; needs an equal text width",
        bibtex="""@inproceedings{yao2023kgcoop,
  title={Visual-Language Prompt Tuning with Knowledge-guided Context Optimization},
  author={Yao, Hantao and Zhang, Rui and Xu, Changsheng},
  booktitle={CVPR}, year={2023}}""",
    )

    class Config(ContextConfig):
        """Defaults: the official scripts for base-to-new."""

        batch_size: int = Field(default=128, ge=1)
        epochs: int = Field(default=100, ge=0)
        weight: float = Field(default=8.0, ge=0)
        """W, of the penalty."""

    presets = {"small": {"steps": 32, "batch_size": 32, "warmup_epochs": 0, "anneal": "step", "lr": 0.01}}

    @classmethod
    def from_official(cls, content: Mapping[str, Any]) -> Official | None:
        """``ctx`` of the official ``prompt_learner``, recognised by the unused parameters next to it."""
        state = official_state(content)
        others = sorted(state.keys() - {"ctx", "token_prefix", "token_suffix"})
        if "ctx" not in state or not others or not all(name.lower().startswith(UNUSED) for name in others):
            return None
        network = state.get("meta_net.linear1.weight")
        narrows = network is not None and network.shape[0] < network.shape[1]
        if narrows and all(name.startswith("meta_net.") for name in others):
            return None  # the network is used: a file of another method
        note = f"left out because the official code does not use them: {', '.join(others)}"
        return Official({"n_ctx": len(state["ctx"])}, {"context": state["ctx"]}, note)

    def class_features(self) -> torch.Tensor:
        return self.prompt.encode(self.context)

    def loss(self, batch: Batch) -> torch.Tensor:
        texts = self.class_features()
        similar = F.cosine_similarity(texts, self.zero_shot_features, dim=-1).mean()
        logits = self.backbone.logits(self.image_features(batch), texts)
        return F.cross_entropy(logits, batch.labels) + self.config.weight * (1 - similar)


class KgCoOpOffset(OffsetContext, KgCoOp):
    """KgCoOp whose context is stored as its change from the current backbone's words (``OffsetContext``)."""

    info = offset_info(KgCoOp.info)

    class Config(OffsetConfig, KgCoOp.Config):
        """KgCoOp's, and how the offset goes to another backbone."""
