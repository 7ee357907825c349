"""Word prompt (ours): context as a mixture of plain words, which every backbone can embed."""

from collections.abc import Sequence
from typing import Any

import torch
from pydantic import Field
from torch import nn

from benchmark.backbones.clip import Backbone
from benchmark.method import Info, Method, MethodConfig
from benchmark.method.prompts import PromptTemplate, padded_context, too_much_context

WORDS = (
    "a an the of in on with and for from photo picture image icon drawing symbol sign shape line dot circle square box "
    "small large big little thin thick bold plain simple clean old new bright dark light black white red green blue "
    "yellow round sharp open closed full empty top bottom left right up down front back centre close far one two many "
    "good bad real object thing"
).split()
"""The words of the mixture: common in captions, and none of them likely to be a class name by itself."""


class WordPrompt(Method):
    """v_m = e_m + sum_w theta_mw E(w): e the embeddings of the context words (after zeros, if they are too few) and E(w) the
    mean token embedding of word w, both in the current backbone; theta (M, W) is learnt from zero.

    CoOp's vectors are coordinates in one embedding space. Here the learnt numbers are amounts of words, which every
    backbone can embed, so the prompt can be built on any text width and tokenizer. Our idea, adapted from prompts that are
    kept near the vocabulary of a language model.
    """

    info = Info(
        name="word-prompt",
        title="Word prompt (ours)",
        summary="context as a learnt mixture of plain words in the current backbone's embeddings",
        tunes=("text",),
        depth="shallow",
        ours=True,
        parameters=f"n_ctx * {len(WORDS)}",
        transfer="the mixture is evaluated with the new tower's word embeddings; fits every text tower",
    )

    class Config(MethodConfig):
        """Our choice: CoOp's optimiser."""

        epochs: int = Field(default=200, ge=0)
        n_ctx: int = Field(default=4, ge=1)
        """M, context tokens."""

    presets = {"small": {"steps": 32, "warmup_epochs": 0, "anneal": "step", "lr": 0.003}}

    @classmethod
    def incompatibility(cls, config: Any, backbone: Backbone) -> str | None:
        return too_much_context(backbone, config.n_ctx)

    def build(self) -> None:
        backbone, n_ctx = self.backbone, self.config.n_ctx
        self.prompt = PromptTemplate(backbone, self.classes, n_ctx)
        self.first = padded_context(backbone, self.classes.context_words, n_ctx).to(backbone.device)
        self.words = word_embeddings(backbone, WORDS)
        self.amounts = nn.Parameter(torch.zeros(n_ctx, len(WORDS)))

    def class_features(self) -> torch.Tensor:
        return self.prompt.encode(self.first + self.amounts @ self.words)


def word_embeddings(backbone: Backbone, words: Sequence[str]) -> torch.Tensor:
    """Mean token embedding (W, d_t) of each word."""
    tokens = backbone.tokenize(words)
    with torch.no_grad():
        embedded = backbone.embed(tokens.ids)
        positions = torch.arange(embedded.shape[1], device=embedded.device)[None]
        inside = ((positions >= tokens.start) & (positions < tokens.end[:, None])).to(embedded)
        return (embedded * inside[..., None]).sum(1) / inside.sum(1, keepdim=True)
