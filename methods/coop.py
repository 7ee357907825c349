"""CoOp: context optimisation. A few learnt vectors take the place of the words before the class name."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from pydantic import Field
from torch import nn

from benchmark.method import Info, Official, official_state
from benchmark.method.prompts import ContextConfig, ContextMethod, OffsetConfig, OffsetContext, offset_info

EPOCHS = {1: 50, 2: 100, 4: 100}
"""By shots; 200 for more (official scripts)."""


class CoOp(ContextMethod):
    """t_c = text([SOT | v_1 ... v_M | class c . | EOT]), cross-entropy on s cos(f, t_c) (section 3.2, equations 2-3)."""

    info = Info(
        name="coop",
        title="CoOp",
        summary="learnt context vectors before the class name, shared by all classes",
        tunes=("text",),
        depth="shallow",
        code="https://github.com/KaiyangZhou/CoOp",
        parameters="n_ctx * d_t",
        transfer="the vectors are put before the names in the new tower's embedding space; needs an equal text width",
        reference=True,
        paper="Learning to Prompt for Vision-Language Models",
        year=2022,
        venue="IJCV",
        url="https://arxiv.org/abs/2109.01134",
        bibtex="""@article{zhou2022coop,
  title={Learning to Prompt for Vision-Language Models},
  author={Zhou, Kaiyang and Yang, Jingkang and Loy, Chen Change and Liu, Ziwei},
  journal={International Journal of Computer Vision}, year={2022}}""",
    )

    class Config(ContextConfig):
        """Defaults: the settings of CoOp's code for base-to-new with ViT-B/16 (``vit_b16_ctxv1``)."""

        epochs: int = Field(default=200, ge=0)

    presets = {"small": {"steps": 32, "warmup_epochs": 0, "anneal": "step", "lr": 0.03}}

    @classmethod
    def official(cls, protocol: str, shots: int, dataset: str) -> dict[str, Any]:
        """Few-shot: 16 random vectors, epochs by shots. ImageNet: 50 epochs. (``scripts/coop``, ``scripts/cocoop``)"""
        epochs = 50 if dataset == "imagenet" else EPOCHS.get(shots, 200)
        few = {"n_ctx": 16, "init_words": ""} if protocol == "few-shot" else {}
        return {"epochs": epochs, **few}

    @classmethod
    def from_official(cls, content: Mapping[str, Any]) -> Official | None:
        """``ctx`` of the official ``prompt_learner``."""
        state = official_state(content)
        if state.keys() - {"token_prefix", "token_suffix"} != {"ctx"}:
            return None
        context = state["ctx"]
        if context.ndim != 2:
            return None  # one context for each class
        note = "assumed: the class name comes after the context, which the file does not say"
        return Official({"n_ctx": len(context)}, {"context": context}, note)

    def class_features(self) -> torch.Tensor:
        return self.prompt.encode(self.context)


class CoOpCsc(CoOp):
    """CoOp with a context for every class, [SOT | v_1^c ... v_M^c | class c . | EOT] (section 3.2, equation 4).

    Our choice: all contexts start at the embeddings of the words if there are enough of them. The official code starts
    class-specific contexts at random.
    """

    info = replace(
        CoOp.info,
        name="coop-csc",
        title="CoOp, class-specific",
        summary="learnt context vectors before the class name, separate for every class",
        class_bound=True,
        reference=False,
        parameters="C * n_ctx * d_t",
    )
    presets = {"small": {"steps": 32, "warmup_epochs": 0, "anneal": "step", "lr": 0.1}}
    spaces = {"context": ("", "", "tokens")}

    @classmethod
    def from_official(cls, content: Mapping[str, Any]) -> Official | None:
        """``ctx`` (C, M, d_t) of the official ``prompt_learner``."""
        state = official_state(content)
        if state.keys() - {"token_prefix", "token_suffix"} != {"ctx"} or state["ctx"].ndim != 3:
            return None
        return Official({"n_ctx": state["ctx"].shape[1]}, {"context": state["ctx"]}, "classes in the order of the data set")

    def build(self) -> None:
        super().build()
        self.context = nn.Parameter(torch.stack([self.first_context() for _ in self.classes.names]))


class CoOpOffset(OffsetContext, CoOp):
    """CoOp whose context is stored as its change from the current backbone's words (``OffsetContext``)."""

    info = offset_info(CoOp.info)

    class Config(OffsetConfig, CoOp.Config):
        """CoOp's, and how the offset goes to another backbone."""
