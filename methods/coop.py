"""CoOp: context optimisation. A few learnt vectors take the place of the words before the class name."""

import torch
from pydantic import Field
from torch import nn

from benchmark.method import (
    Info,
    Method,
    MethodConfig,
    Official,
    PromptTemplate,
    Unfit,
    initial_context,
    official_state,
    too_much_context,
)

UNUSED = ("bias_vectors", "meta_net.", "adapter")
"""Parameters that KgCoOp's code saves beside the context and never uses."""


class CoOp(Method):
    """t_c = text([SOT | v_1 ... v_M | class c . | EOT]), cross-entropy on s cos(f, t_c) (section 3.2, equations 2-3)."""

    info = Info(
        name="coop",
        title="CoOp",
        summary="learnt context vectors before the class name, shared by all classes",
        tunes=("text",),
        depth="shallow",
        paper="Learning to Prompt for Vision-Language Models",
        year=2022,
        venue="IJCV",
        url="https://arxiv.org/abs/2109.01134",
        bibtex="""@article{zhou2022coop,
  title={Learning to Prompt for Vision-Language Models},
  author={Zhou, Kaiyang and Yang, Jingkang and Loy, Chen Change and Liu, Ziwei},
  journal={International Journal of Computer Vision}, year={2022}}""",
    )

    class Config(MethodConfig):
        """Defaults: the settings of CoOp's code for base-to-new with ViT-B/16 (``vit_b16_ctxv1``)."""

        epochs: int = Field(default=200, ge=0)
        n_ctx: int = Field(default=4, ge=1)
        """M, context tokens."""
        init_words: str | None = None
        """Words whose embeddings start the context; None takes the dataset's own, "" starts at random."""

    presets = {"small": {"steps": 25, "warmup_epochs": 0, "anneal": "step", "lr": 0.03}}

    @classmethod
    def why_not(cls, config, backbone):
        return too_much_context(backbone, config.n_ctx)

    @classmethod
    def from_official(cls, content):
        """``ctx`` of the official ``prompt_learner``, or of KgCoOp's: the same prompt, and parameters without use."""
        state = official_state(content)
        others = sorted(state.keys() - {"ctx", "token_prefix", "token_suffix"})
        if "ctx" not in state or not all(name.lower().startswith(UNUSED) for name in others):
            return None
        note = "assumed: the class name comes after the context, which the file does not say"
        if others:
            network = state.get("meta_net.linear1.weight")
            narrows = network is not None and network.shape[0] < network.shape[1]
            if narrows and all(name.startswith("meta_net.") for name in others):
                return None  # a network that is in use: another method's
            note = f"KgCoOp's context, read as CoOp's; left out as its code does not use them: {', '.join(others)}; {note}"
        context = state["ctx"]
        if context.ndim != 2:
            shape = " x ".join(map(str, context.shape))
            raise Unfit(f"its context ({shape}) belongs to its training classes, one for each; CoOp here shares one")
        return Official({"n_ctx": len(context)}, {"context": context}, note)

    def build(self):
        self.prompt = PromptTemplate(self.backbone, self.classes, self.config.n_ctx)
        words = self.config.init_words
        words = self.classes.context_words if words is None else words
        self.context = nn.Parameter(initial_context(self.backbone, words, self.config.n_ctx))

    def class_features(self) -> torch.Tensor:
        return self.prompt.encode(self.context)
