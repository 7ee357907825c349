"""Prompts with learnt context, for methods that learn at the input of the text encoder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import nn

from benchmark.backbones.chunking import by_rows
from benchmark.backbones.clip import Backbone, Tokens
from benchmark.backbones.shared_prefix import Ends, encode_prompts
from benchmark.config.schema import Strict
from benchmark.data.batch import ClassList
from benchmark.method.base import Info, Method, MethodConfig, Official
from benchmark.method.passage import Passage


class ContextConfig(MethodConfig):
    """Settings of methods that learn context."""

    n_ctx: int = Field(default=4, ge=1)
    """M, context tokens."""
    init_words: str | None = None
    """Words whose embeddings start the context; None takes the data set's own, "" starts at random."""


class PromptTemplate:
    """Sentences with room for learnt context vectors: [SOT | context (M) | class name . | EOT], the full stop only where the
    data set's template has one.

    Derived from a backbone and a class list; source: CoOp (Zhou et al. 2022), section 3.2, context before the class.
    ``words``, if given and of M tokens or more, are those that the context takes the place of: it replaces the first M, and
    the others stay before the class name.
    """

    def __init__(self, backbone: Backbone, classes: ClassList, n_ctx: int, words: str = "") -> None:
        self.backbone, self.classes, self.n_ctx = backbone, classes, n_ctx
        if words and token_count(backbone, words) >= n_ctx:
            self.tokens: Tokens = backbone.tokenize([f"{words} {name}{classes.closing}" for name in classes.readable])
        else:
            self.tokens = backbone.make_room(
                backbone.tokenize([f"{name}{classes.closing}" for name in classes.readable]), n_ctx
            )
        with torch.no_grad():
            embedded = backbone.embed(self.tokens.ids)
        self.prefix = embedded[:, : self.tokens.start]
        """(C, 1, d_t) start-of-text; (C, 0, d_t) where the tokenizer has none."""
        self.suffix = embedded[:, self.tokens.start + n_ctx :]
        """(C, n - 1 - M, d_t) class name, full stop, end-of-text and padding."""
        self.ends = Ends.of(self.tokens.eot)

    def encode(
        self, context: torch.Tensor, within: Callable[[], AbstractContextManager[None]] = nullcontext
    ) -> torch.Tensor:
        """Text features (C, d) with one context (M, d_t) for all classes, or (C, M, d_t), one for each.

        ``within`` makes what the text tower runs in, such as prompts in deeper layers.
        """
        if context.ndim == 2 and within is nullcontext:
            return self.encode_each(context[None])[0]
        if context.ndim == 2:
            context = context.expand(len(self.suffix), -1, -1)

        def some(sentences: torch.Tensor, eot: torch.Tensor) -> torch.Tensor:
            with within():
                return self.backbone.encode_embeddings(sentences, eot)

        return by_rows(some, torch.cat([self.prefix, context, self.suffix], dim=1), self.tokens.eot)

    def encode_each(self, contexts: torch.Tensor) -> torch.Tensor:
        """Text features (B, C, d) of all classes with each of several contexts (B, M, d_t)."""
        starts = torch.cat([self.prefix[:1].expand(len(contexts), -1, -1), contexts], dim=1)

        def some(suffix: torch.Tensor, ends: Ends) -> torch.Tensor:
            return encode_prompts(self.backbone, starts, suffix, ends).transpose(0, 1)

        return by_rows(some, self.suffix, self.ends, prompts=len(contexts)).transpose(0, 1)

    def name_embeddings(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Token embeddings of the bare class names, padded: (C, k, d_t), and a mask (C, k) that is True on names."""
        names = self.backbone.tokenize(self.classes.readable)
        with torch.no_grad():
            embedded = self.backbone.embed(names.ids)[:, names.start :]
        positions = torch.arange(embedded.shape[1], device=embedded.device)
        mask = positions[None] < (names.end - names.start)[:, None]
        width = int(mask.sum(1).max())
        return embedded[:, :width], mask[:, :width]


def token_count(backbone: Backbone, words: str) -> int:
    """How many tokens a backbone makes of words."""
    tokens = backbone.tokenize([words])
    return int(tokens.end[0]) - tokens.start


def initial_context(backbone: Backbone, words: str, n_ctx: int) -> torch.Tensor:
    """First values (M, d_t) of learnt context: embeddings of ``words`` where they are M tokens or more, else N(0, 0.02^2).

    Source: CoOp, section 3.2 and its ``CTX_INIT`` setting.
    """
    tokens = backbone.tokenize([words])
    if int(tokens.end[0]) - tokens.start < n_ctx:
        return torch.empty(n_ctx, backbone.text_width).normal_(std=0.02)
    with torch.no_grad():
        return backbone.embed(tokens.ids)[0, tokens.start : tokens.start + n_ctx].float().cpu().clone()


def padded_context(backbone: Backbone, words: str, n_ctx: int, places: int | None = None) -> torch.Tensor:
    """Embeddings (M, d_t) of ``words`` in the last places, zeros before; the first M tokens where there are more.
    ``places``: how many are filled, if not as many as the words have tokens."""
    tokens = token_count(backbone, words)
    count = min(n_ctx, tokens, tokens if places is None else places)
    context = torch.zeros(n_ctx, backbone.text_width)
    if count:
        context[n_ctx - count :] = initial_context(backbone, words, count)
    return context


def too_much_context(backbone: Backbone, n_ctx: int) -> str | None:
    """Why M context tokens leave no room for a class name; None if they do."""
    room = backbone.context_length - 4  # start, a name of one token, full stop, end
    return f"{n_ctx} context tokens do not fit its context of {backbone.context_length}" if n_ctx > room else None


class ContextMethod(Method):
    """Base of methods that learn context (M, d_t) before the class names; what they make of it is theirs. ``Config`` must be
    a ``ContextConfig``."""

    Config = ContextConfig
    spaces = {"context": ("", "tokens")}

    @classmethod
    def incompatibility(cls, config: Any, backbone: Backbone) -> str | None:
        return too_much_context(backbone, config.n_ctx)

    def build(self) -> None:
        self.prompt = PromptTemplate(self.backbone, self.classes, self.config.n_ctx)
        self.start_at(self.first_context())

    def start_at(self, context: torch.Tensor) -> None:
        """Create what is learnt, so that the context starts at the given one."""
        self.context = nn.Parameter(context)

    def first_context(self) -> torch.Tensor:
        """What the context starts at."""
        return initial_context(self.backbone, self.classes.first_words(self.config.init_words), self.config.n_ctx)


def offset_info(info: Info) -> Info:
    """What the twin with an offset says about itself, from what its method says."""
    return replace(
        info,
        name=f"{info.name}-offset",
        title=f"{info.title}, offset",
        summary=f"{info.title} whose context is stored as its change from the current backbone's words",
        transfer="the change, times the relatedness of the two backbones, is added to the words in the new tower's space; "
        "through a map where the text widths differ",
        reference=False,
        ours=True,
    )


class OffsetConfig(Strict):
    """Settings of methods that learn an offset."""

    carry: Literal["plain", "scaled", "mapped", "mapped-scaled"] = "scaled"
    """How the offset goes to another backbone: as it is, times the relatedness of the two, through an orthogonal map between
    their token embeddings, or both. Where the text widths differ, all but "plain" map it."""


class OffsetContext(ContextMethod):
    """Base of methods whose context is stored as a change, v = E(words) + o: E are the current backbone's embeddings of the
    words that the context starts at, and o, which is learnt, starts at zero. ``Config`` must be an ``OffsetConfig`` too.

    On the backbone that it is trained on this is the same prompt, moved by the same gradients. On another the words have
    that one's embeddings, so that the prompt starts at words there too. Where there are fewer tokens than context, they take
    the last places and the others start at zero. Ours.
    """

    spaces = {"offset": ("", "tokens")}
    offsets: ClassVar[tuple[str, ...]] = ("offset",)

    @classmethod
    def from_official(cls, content: Mapping[str, Any]) -> Official | None:
        return None

    @classmethod
    def carry(cls, config: Any, tensors: Mapping[str, torch.Tensor], passage: Passage) -> dict[str, torch.Tensor]:
        """Source: ours; ``relatedness`` says how far to trust a change of one space in another."""
        widths_differ = config.carry != "plain" and passage.old.text_width != passage.new.text_width
        carried = dict(tensors)
        if widths_differ or config.carry.startswith("mapped"):
            carried = passage.carried(tensors, cls.spaces)
        if config.carry.endswith("scaled"):
            factor = passage.relatedness
            carried = {name: factor * value if cls.is_offset(name) else value for name, value in carried.items()}
        return carried

    def first_context(self) -> torch.Tensor:
        return padded_context(self.backbone, self.classes.first_words(self.config.init_words), self.config.n_ctx)

    def start_at(self, context: torch.Tensor) -> None:
        self.origin = context.to(self.backbone.device)
        self.offset = nn.Parameter(torch.zeros_like(context))

    @property
    def context(self) -> torch.Tensor:  # type: ignore[override] # derived here, learnt in the base
        """(M, d_t)."""
        return self.origin + self.offset
