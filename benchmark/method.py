"""The method contract: what a file in ``methods/`` says about one way of fine-tuning CLIP.

A method's ``nn.Parameter`` objects are exactly what it learns, and exactly what is saved as its *module*. Everything
else (class-name tokens, zero-shot features, caches) is derived in ``build`` from the backbone and the class list at hand,
so that the same module can be attached to another backbone, or to other classes, by building anew and loading the
parameters. Shapes come from the backbone, never from constants.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional as F

from benchmark.backbone import Backbone, Tokens
from benchmark.config import Strict
from benchmark.prefix import encode_prompts
from benchmark.recompute import by_rows


class MethodConfig(Strict):
    """Hyper-parameters that every method has; a method's own ``Config`` adds its own and changes defaults.

    The defaults are those of the CoOp family of code: SGD, momentum 0.9, weight decay 5e-4, one epoch at 1e-5, then a
    cosine over epochs.
    """

    optimizer: Literal["sgd", "adamw"] = "sgd"
    lr: float = Field(default=0.002, gt=0)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    weight_decay: float = Field(default=5e-4, ge=0)
    batch_size: int = Field(default=32, ge=1)
    epochs: int = Field(default=50, ge=0)
    steps_per_shot: int | None = Field(default=None, ge=1)
    """If given, training takes this many steps times the number of shots, whatever ``epochs`` says."""
    steps: int | None = Field(default=None, ge=1)
    """If given, training takes this many steps, whatever ``epochs`` and ``steps_per_shot`` say."""
    warmup_epochs: int = Field(default=1, ge=0)
    """Epochs at the constant rate ``warmup_lr`` before the cosine starts at ``lr``."""
    warmup_lr: float = Field(default=1e-5, ge=0)
    anneal: Literal["epoch", "step"] = "epoch"
    """Whether the cosine moves once an epoch or once a step."""
    min_lr: float = Field(default=0.0, ge=0)
    views: int = Field(default=4, ge=1)
    """Augmented views of each training image that are made once and drawn from; 1 means the plain image only."""
    grad_clip: float | None = Field(default=None, gt=0)
    """Largest gradient norm; None, the published setting of all methods here, does not clip."""


@dataclass(frozen=True)
class Info:
    """What the engine and the report must know about a method."""

    name: str
    title: str
    summary: str
    tunes: tuple[Literal["text", "vision", "features"], ...]
    depth: Literal["shallow", "deep", "none"]
    """Shallow: learns at the input of the text encoder. Deep: refines inner layers or features."""
    paper: str = ""
    year: int = 0
    venue: str = ""
    url: str = ""
    bibtex: str = ""
    class_bound: bool = False
    """True if the module belongs to its training classes and has no say about others."""
    control: bool = False
    """True for a reference that is shown but neither ranked nor judged."""
    version: int = 1
    """Raise when an edit changes the method's results: modules of older versions are then trained again."""


@dataclass(frozen=True)
class ClassList:
    """The classes to tell apart, in label order, and the sentence that names one of them."""

    names: tuple[str, ...]
    template: str = "a photo of a {}."
    context_words: str = "a photo of a"
    """What a hand-written prompt puts before the name; learnt context may start there."""

    def __post_init__(self) -> None:
        if not self.names or any(not name.strip() for name in self.names):
            raise ValueError("a class list needs at least one name, and no empty one")

    @property
    def readable(self) -> tuple[str, ...]:
        """Names as a sentence would have them: underscores are spaces."""
        return tuple(name.replace("_", " ") for name in self.names)

    def texts(self, template: str | None = None) -> list[str]:
        """The template filled in for every class."""
        return [(template or self.template).format(name) for name in self.readable]


@dataclass(frozen=True)
class Batch:
    """Training or test examples on the backbone's device. Whichever of features and pixels a method needs is there."""

    labels: torch.Tensor
    """(B,) int64, indices into the class list."""
    features: torch.Tensor | None = None
    """(B, d) un-normalised image features of the frozen backbone."""
    pixels: torch.Tensor | None = None
    """(B, 3, H, W), preprocessed for the backbone."""


class Method(nn.Module):
    """Base class. A method overrides ``build`` and whichever of the other hooks differ from zero-shot CLIP."""

    info: ClassVar[Info]
    Config: ClassVar[type[MethodConfig]] = MethodConfig
    presets: ClassVar[dict[str, dict[str, Any]]] = {}
    """Changes to ``Config``'s defaults by preset: "paper" for real CLIPs (none if absent), "small" for small towers."""

    def __init__(self, config: MethodConfig, backbone: Backbone, classes: ClassList) -> None:
        super().__init__()
        self.config: Any = config
        self.backbone, self.classes = backbone, classes
        self._cached_classes: torch.Tensor | None = None
        self.build()
        self.to(backbone.device)

    @classmethod
    def why_not(cls, config: Any, backbone: Backbone) -> str | None:
        """Why this method cannot work on ``backbone``, in a sentence; None if it can."""
        return None

    @classmethod
    def from_official(cls, content: Mapping[str, Any]) -> Official | None:
        """The module in a checkpoint of this method's official code; None if ``content`` is no such checkpoint.

        Raises:
            Unfit: it is one, of a form that this method does not have.
        """
        return None

    @property
    def needs_pixels(self) -> bool:
        """True if the image tower must run on every step; False if its cached features will do."""
        return False

    def build(self) -> None:
        """Create the learnt tensors as ``nn.Parameter`` and derive whatever the backbone and classes determine."""

    def class_features(self) -> torch.Tensor:
        """Un-normalised text features (C, d) of the classes."""
        return self.zero_shot_features

    def image_features(self, batch: Batch) -> torch.Tensor:
        """Un-normalised image features (B, d)."""
        if batch.features is not None:
            return batch.features
        assert batch.pixels is not None
        return self.backbone.encode_image(batch.pixels)

    def logits(self, batch: Batch) -> torch.Tensor:
        """Scores (B, C) of the classes; their arg max is the prediction."""
        return self.backbone.logits(self.image_features(batch), self.current_class_features())

    def loss(self, batch: Batch) -> torch.Tensor:
        """Scalar to minimise; cross-entropy unless a method says otherwise."""
        return F.cross_entropy(self.logits(batch), batch.labels)

    # --- what methods may use -----------------------------------------------------------------------------------

    @cached_property
    def zero_shot_features(self) -> torch.Tensor:
        """Un-normalised text features (C, d) of the dataset's own template, without gradient."""
        with torch.no_grad():
            tokens = self.backbone.tokenize(self.classes.texts())
            return by_rows(self.backbone.encode_ids, tokens.ids, tokens.eot)

    def current_class_features(self) -> torch.Tensor:
        """``class_features()``, computed once while nothing is being trained."""
        if self.training or torch.is_grad_enabled():
            return self.class_features()
        if self._cached_classes is None:
            self._cached_classes = self.class_features()
        return self._cached_classes

    def train(self, mode: bool = True) -> Method:
        self._cached_classes = None
        return super().train(mode)

    def tensors(self) -> dict[str, torch.Tensor]:
        """What the method has learnt, by name: a copy in fp32 on the CPU."""
        return {name: value.detach().float().cpu().clone() for name, value in self.named_parameters()}

    def load(self, tensors: dict[str, torch.Tensor]) -> None:
        """Put learnt tensors in place.

        Raises:
            Unfit: names or shapes differ from what this backbone needs.
        """
        own = dict(self.named_parameters())
        problem = misfit({n: tuple(v.shape) for n, v in own.items()}, {n: tuple(v.shape) for n, v in tensors.items()})
        if problem:
            raise Unfit(f"{problem} on {self.backbone.name}")
        with torch.no_grad():
            for name, value in tensors.items():
                own[name].copy_(value)
        self._cached_classes = None


class Unfit(Exception):
    """A module or method cannot work on a backbone; the message says why."""


@dataclass(frozen=True)
class Official:
    """A module as a method's official code saved it, in this suite's terms."""

    settings: dict[str, Any]
    """Hyper-parameters that the checkpoint determines."""
    tensors: dict[str, torch.Tensor]
    note: str = ""
    """What was left out or assumed."""


def official_state(content: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """Tensors by name of a checkpoint of Dassl, or of a bare state dict, without DataParallel's ``module.``."""
    state = content.get("state_dict", content)
    if not isinstance(state, Mapping):
        return {}
    return {str(name).removeprefix("module."): value for name, value in state.items() if isinstance(value, torch.Tensor)}


def misfit(needed: dict[str, tuple[int, ...]], given: dict[str, tuple[int, ...]]) -> str | None:
    """Why learnt tensors of shapes ``given`` do not fit where ``needed`` is expected; None if they do."""
    for name in sorted(needed.keys() | given.keys()):
        if needed.get(name) != given.get(name):
            return f"{name} is {_size(given.get(name))} in the module but must be {_size(needed.get(name))}"
    return None


def _size(shape: tuple[int, ...] | None) -> str:
    return "absent" if shape is None else " x ".join(map(str, shape)) or "a scalar"


class PromptTemplate:
    """Sentences with room for learnt context vectors: [SOT | context (M) | class name . | EOT].

    Derived from a backbone and a class list; source: CoOp (Zhou et al. 2022), section 3.2, context before the class.
    """

    def __init__(self, backbone: Backbone, classes: ClassList, n_ctx: int) -> None:
        self.backbone, self.classes, self.n_ctx = backbone, classes, n_ctx
        names = backbone.tokenize([f"{name}." for name in classes.readable])
        self.tokens: Tokens = backbone.make_room(names, n_ctx)
        with torch.no_grad():
            embedded = backbone.embed(self.tokens.ids)
        self.prefix = embedded[:, : names.start]
        """(C, 1, d_t) start-of-text; (C, 0, d_t) where the tokenizer has none."""
        self.suffix = embedded[:, names.start + n_ctx :]
        """(C, n - 1 - M, d_t) class name, full stop, end-of-text and padding."""
        self.eot = self.tokens.eot

    def encode(self, context: torch.Tensor) -> torch.Tensor:
        """Text features (C, d) with one context (M, d_t) for all classes, or (C, M, d_t), one for each."""
        if context.ndim == 2:
            return self.encode_each(context[None])[0]
        sentences = torch.cat([self.prefix, context, self.suffix], dim=1)
        return by_rows(self.backbone.encode_embeddings, sentences, self.eot)

    def encode_each(self, contexts: torch.Tensor) -> torch.Tensor:
        """Text features (B, C, d) of all classes with each of several contexts (B, M, d_t)."""
        starts = torch.cat([self.prefix[:1].expand(len(contexts), -1, -1), contexts], dim=1)

        def some(suffix: torch.Tensor, eot: torch.Tensor) -> torch.Tensor:
            return encode_prompts(self.backbone, starts, suffix, eot).transpose(0, 1)

        return by_rows(some, self.suffix, self.eot, prompts=len(contexts)).transpose(0, 1)

    def name_embeddings(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Token embeddings of the bare class names, padded: (C, k, d_t), and a mask (C, k) that is True on names."""
        names = self.backbone.tokenize(self.classes.readable)
        with torch.no_grad():
            embedded = self.backbone.embed(names.ids)[:, names.start :]
        positions = torch.arange(embedded.shape[1], device=embedded.device)
        mask = positions[None] < (names.end - names.start)[:, None]
        width = int(mask.sum(1).max())
        return embedded[:, :width], mask[:, :width]


def initial_context(backbone: Backbone, words: str, n_ctx: int) -> torch.Tensor:
    """First values (M, d_t) of learnt context: embeddings of ``words`` where they are M tokens or more, else N(0, 0.02^2).

    Source: CoOp, section 3.2 and its ``CTX_INIT`` setting.
    """
    tokens = backbone.tokenize([words])
    if int(tokens.end[0]) - tokens.start < n_ctx:
        return torch.empty(n_ctx, backbone.text_width).normal_(std=0.02)
    with torch.no_grad():
        return backbone.embed(tokens.ids)[0, tokens.start : tokens.start + n_ctx].float().cpu().clone()


def too_much_context(backbone: Backbone, n_ctx: int) -> str | None:
    """Why M context tokens leave no room for a class name; None if they do."""
    room = backbone.context_length - 4  # start, a name of one token, full stop, end
    return f"{n_ctx} context tokens do not fit its context of {backbone.context_length}" if n_ctx > room else None
