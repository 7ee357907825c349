"""Word prompt (ours): context written as a mixture of plain words, so that any backbone renders it with its own."""

import torch
from pydantic import Field
from torch import nn

from benchmark.method import Info, Method, MethodConfig
from benchmark.method.prompts import PromptTemplate, padded_context, too_much_context

WORDS = (
    "a an the of in on with and for from photo picture image icon drawing symbol sign shape line dot circle square box "
    "small large big little thin thick bold plain simple clean old new bright dark light black white red green blue "
    "yellow round sharp open closed full empty top bottom left right up down front back centre close far one two many "
    "good bad real object thing"
).split()
"""The words of the mixture: common in captions, and none of them a class that a task would ask for alone."""


class WordPrompt(Method):
    """v_m = e_m + sum_w theta_mw E(w): e the embeddings of the context words (after zeros, if they are too few) and E(w) the
    mean token embedding of word w, both of the backbone at hand; theta (M, W) is learnt from zero.

    CoOp's vectors are coordinates of one embedding space. These are amounts of words, which every backbone has, so the
    prompt renders itself anew in each, whatever its text width or tokenizer. An idea of ours, adapted from prompts that are
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
        transfer="the mixture is rendered in the new tower's own word embeddings; fits every text tower",
    )

    class Config(MethodConfig):
        """Our choice: CoOp's optimiser."""

        epochs: int = Field(default=200, ge=0)
        n_ctx: int = Field(default=4, ge=1)
        """M, context tokens."""

    presets = {"small": {"steps": 32, "warmup_epochs": 0, "anneal": "step", "lr": 0.003}}

    @classmethod
    def incompatibility(cls, config, backbone):
        return too_much_context(backbone, config.n_ctx)

    def build(self):
        backbone, n_ctx = self.backbone, self.config.n_ctx
        self.prompt = PromptTemplate(backbone, self.classes, n_ctx)
        self.first = padded_context(backbone, self.classes.context_words, n_ctx).to(backbone.device)
        self.words = word_embeddings(backbone, WORDS)
        self.amounts = nn.Parameter(torch.zeros(n_ctx, len(WORDS)))

    def class_features(self):
        return self.prompt.encode(self.first + self.amounts @ self.words)


def word_embeddings(backbone, words) -> torch.Tensor:
    """Mean token embedding (W, d_t) of each word."""
    tokens = backbone.tokenize(words)
    with torch.no_grad():
        embedded = backbone.embed(tokens.ids)
        place = torch.arange(embedded.shape[1], device=embedded.device)[None]
        inside = ((place >= tokens.start) & (place < tokens.end[:, None])).to(embedded)
        return (embedded * inside[..., None]).sum(1) / inside.sum(1, keepdim=True)
