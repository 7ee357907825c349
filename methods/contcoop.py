"""ContCoOp: class-conditioned context optimisation, the method of the paper that this suite's question comes from."""

import math
from dataclasses import replace
from typing import ClassVar

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional as F

from benchmark.method import Batch, Info
from benchmark.method.prompts import ContextConfig, ContextMethod, OffsetConfig, OffsetContext, offset_info


class ContCoOp(ContextMethod):
    """Context that attends to the class name's embeddings in the current backbone, trained with L_ce + lambda L_kd.

    The context of class c is v + softmax(Q(v) K(e_c)^T / sqrt(a)) V(e_c) O, where e_c are the token embeddings of the
    name of c, so that it follows the embedding space when the backbone changes. L_kd is the KL divergence of the
    predictions from the zero-shot predictions.

    The paper's code is not available. Our choices where the text leaves them open: the context gives the queries, the name
    gives keys and values; a residual keeps the plain context; one head of width a; O starts at zero, so that
    training starts from CoOp's prompt; lambda = 1 and temperature 1.
    """

    info = Info(
        name="contcoop",
        title="ContCoOp",
        summary="context that attends to the class name's embeddings in the current backbone, with zero-shot distillation",
        tunes=("text",),
        depth="shallow",
        parameters="n_ctx * d_t + attention * 4 * d_t * (width or d_t)",
        transfer="the context attends to the names' embeddings in the new tower; needs an equal text width",
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
        """Defaults: CoOp's optimiser settings; the rest are our choices (see the class)."""

        epochs: int = Field(default=50, ge=0)
        attention: bool = True
        """Whether the context attends to the class name; if not, the prompt is CoOp's."""
        width: int | None = Field(default=None, ge=1)
        """a, width of queries and keys; None takes the text width d_t."""
        kd_weight: float = Field(default=1.0, ge=0)
        """lambda."""
        temperature: float = Field(default=1.0, gt=0)
        """Of the distillation."""

    presets = {"small": {"steps": 32, "warmup_epochs": 0, "anneal": "step", "lr": 0.03}}
    spaces = {**ContextMethod.spaces, "out.weight": ("tokens", ""), "*.weight": ("", "tokens")}

    def build(self) -> None:
        super().build()
        config, d_t = self.config, self.backbone.text_width
        self.names, self.is_name = self.prompt.name_embeddings()  # (C, k, d_t), (C, k)
        if config.attention:
            a = config.width or d_t
            self.query, self.key = nn.Linear(d_t, a, bias=False), nn.Linear(d_t, a, bias=False)
            self.value, self.out = nn.Linear(d_t, a, bias=False), nn.Linear(a, d_t, bias=False)
            nn.init.zeros_(self.out.weight)

    def class_features(self) -> torch.Tensor:
        return self.prompt.encode(self.class_context() if self.config.attention else self.context)

    def class_context(self) -> torch.Tensor:
        """Context (C, M, d_t) of every class."""
        query, key, value = self.query(self.context), self.key(self.names), self.value(self.names)
        scores = torch.einsum("ma,cka->cmk", query, key) / math.sqrt(query.shape[-1])
        weights = scores.masked_fill(~self.is_name[:, None], -math.inf).softmax(-1)
        return self.context + self.out(torch.einsum("cmk,cka->cma", weights, value))

    def loss(self, batch: Batch) -> torch.Tensor:
        features = self.image_features(batch)
        logits = self.backbone.logits(features, self.class_features())
        loss = F.cross_entropy(logits, batch.labels)
        if self.config.kd_weight:
            t = self.config.temperature
            teacher = self.backbone.logits(features, self.zero_shot_features).div(t).log_softmax(-1)
            student = logits.div(t).log_softmax(-1)
            divergence = F.kl_div(student, teacher, log_target=True, reduction="batchmean")
            loss = loss + self.config.kd_weight * t * t * divergence
        return loss


class ContCoOpNoAttention(ContCoOp):
    """An ablation: CoOp's prompt, trained with distillation."""

    info = replace(
        ContCoOp.info,
        name="contcoop-no-attention",
        title="ContCoOp without attention",
        summary="ContCoOp's loss on CoOp's prompt",
        parameters="n_ctx * d_t",
    )

    class Config(ContCoOp.Config):
        """ContCoOp's, without attention."""

        attention: bool = False

    presets = {"small": {"steps": 32, "warmup_epochs": 0, "anneal": "step", "lr": 0.03}}


class ContCoOpNoDistillation(ContCoOp):
    """An ablation: the class-conditioned context, trained with cross-entropy alone."""

    info = replace(
        ContCoOp.info,
        name="contcoop-no-kd",
        title="ContCoOp without distillation",
        summary="ContCoOp's class-conditioned context on cross-entropy alone",
    )

    class Config(ContCoOp.Config):
        """ContCoOp's, with lambda = 0."""

        kd_weight: float = Field(default=0.0, ge=0)

    presets = {"small": {**ContCoOp.presets["small"], "lr": 0.03}}


class ContCoOpOffset(OffsetContext, ContCoOp):
    """ContCoOp whose context is stored as its change from the current backbone's words (``OffsetContext``)."""

    info = offset_info(ContCoOp.info)
    spaces = {**ContCoOp.spaces, **OffsetContext.spaces}
    offsets: ClassVar[tuple[str, ...]] = ("offset", "out.weight")
    presets = {"small": {**ContCoOp.presets["small"], "lr": 0.01}}

    class Config(OffsetConfig, ContCoOp.Config):
        """ContCoOp's, and how the offset goes to another backbone."""
