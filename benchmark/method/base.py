"""The method contract: what a file in ``methods/`` says about one way of fine-tuning CLIP.

A method's ``nn.Parameter`` objects are exactly what it learns, and exactly what is saved as its *module*. Everything
else (class-name tokens, zero-shot features, caches) is derived in ``build`` from the given backbone and class list, so
that the same module can be attached to another backbone, or to other classes, by building it again and loading the
parameters. Shapes come from the backbone, never from constants.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional as F

from benchmark.backbones.chunking import by_rows
from benchmark.backbones.clip import Backbone, Tokens
from benchmark.config.schema import Crop, Strict
from benchmark.data.batch import Batch, ClassList, FewShots
from benchmark.method.passage import Passage
from benchmark.method.shapes import shape_mismatch
from benchmark.method.terms import Incompatible, Space


class MethodConfig(Strict):
    """Hyper-parameters that every method has; a method's own ``Config`` adds its own and changes defaults.

    The defaults are those of the CoOp family of code: SGD, momentum 0.9, weight decay 5e-4, one epoch at 1e-5, then a
    cosine over epochs.
    """

    optimizer: Literal["sgd", "adam", "adamw"] = "sgd"
    lr: float = Field(default=0.002, gt=0)
    eps: float = Field(default=1e-8, gt=0)
    """Of Adam and AdamW."""
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
    """Whether the cosine moves once per epoch or once per step."""
    min_lr: float = Field(default=0.0, ge=0)
    views: Annotated[int, Field(ge=1)] | Literal["fresh", "auto"] = "auto"
    """Augmented views of each training image that are made once and drawn from; 1 means the plain image only. "fresh" takes
    a new view at every visit, as the official code does. "auto" is "fresh" for methods that run the image tower, and
    ``CACHED_VIEWS`` for those whose features are encoded once."""
    crop: Crop | None = None
    """Range of the share of the area that a random crop keeps, as far as the data set allows it; None takes the data set's
    own range."""
    drop_last: bool = True
    """Whether the incomplete last batch of an epoch is left out if there is a full one, as in Dassl's loader."""
    pool_views: bool = False
    """Whether batches are drawn from the pool of all views of all images, instead of one view of each image per epoch."""
    grad_clip: float | None = Field(default=None, gt=0)
    """Largest gradient norm; None, the published setting of all methods here, does not clip."""


CACHED_VIEWS = 64
"""Views of methods on encoded features, unless a configuration says otherwise; docs/views.md has the measurements."""
COMMON_PRESETS: dict[str, dict[str, Any]] = {"small": {"views": 4}}
"""What the presets of all methods change, unless a method's own preset says otherwise."""


class AdamWConfig(MethodConfig):
    """AdamW without warm-up, with a cosine over steps."""

    optimizer: Literal["sgd", "adam", "adamw"] = "adamw"
    lr: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=1e-2, ge=0)
    warmup_epochs: int = Field(default=0, ge=0)
    anneal: Literal["epoch", "step"] = "step"


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
    """True if the module can only score its training classes."""
    baseline: bool = False
    """True for a reference that is shown but neither ranked nor judged."""
    version: int = 1
    """Raise when an edit changes the method's results: modules of older versions are then trained again."""
    code: str = ""
    """The official repository."""
    parameters: str = ""
    """How many numbers it learns, in the names of its ``Config`` and C classes, N training images, d embedding width, d_t
    and d_v widths of the text and vision tower, L_t and L_v their layers."""
    transfer: str = ""
    """What happens to the module on another backbone, and when it cannot be used there."""
    aliases: tuple[str, ...] = ()
    """Other names that users may type."""
    keeps_images: bool = False
    """True if a module needs its few training images again wherever it is attached."""
    reference: bool = False
    """True for the method whose training time the others' are given in multiples of."""
    listed: bool = True
    """False for a method that only an analysis asks for: "all" leaves it out."""
    ours: bool = False
    """True for an idea of this suite's authors: there is no paper to be faithful to."""


class Method(nn.Module):
    """Base class. A method overrides ``build`` and whichever of the other hooks differ from zero-shot CLIP."""

    info: ClassVar[Info] = Info("", "", "", (), "none")
    Config: ClassVar[type[MethodConfig]] = MethodConfig
    presets: ClassVar[dict[str, dict[str, Any]]] = {}
    """Changes to ``Config``'s defaults by preset: "paper" for real CLIPs (none if absent), "small" for small towers."""
    spaces: ClassVar[dict[str, tuple[Space, ...]]] = {}
    """By learnt tensor: the space that each of its axes lives in, so that a map between the spaces of two backbones can
    carry it over. A tensor that is not named, or that lives inside a tower, cannot be carried."""
    offsets: ClassVar[tuple[str, ...]] = ()
    """Learnt tensors, by name or pattern, that are added to what the current backbone gives. The others are places in the
    spaces of the backbone that they were learnt on, and mean nothing in another's."""
    replayable: ClassVar[bool] = True
    """False if ``loss`` or ``backward`` decides in Python what differs from step to step (a coin that is tossed, a count):
    on a GPU the kernels of a step are captured once and replayed for every batch of the same shape."""
    splittable: ClassVar[bool] = True
    """False if the loss of a batch is not the mean of its parts' losses, weighted by their sizes: a batch that does not fit
    into memory is computed in parts otherwise."""
    trials: ClassVar[tuple[str, tuple[float, ...]] | None] = None
    """The setting, and its six values, that the preset "small" is chosen from; None tries learning rates."""

    def __init__(
        self, config: MethodConfig, backbone: Backbone, classes: ClassList, few_shots: FewShots | None = None
    ) -> None:
        super().__init__()
        self.config: Any = config
        self.backbone, self.classes = backbone, classes
        self.few_shots = few_shots
        """There while the module is trained, and wherever it is attached if the method ``keeps_images``."""
        if self.info.keeps_images and few_shots is None:
            raise Incompatible("it needs the few training images again, and they are not available")
        self._cached_classes: torch.Tensor | None = None
        self._tokens: dict[str | None, Tokens] = {}
        self.build()
        self.to(backbone.device)

    @classmethod
    def official(cls, protocol: str, shots: int, dataset: str) -> dict[str, Any]:
        """What the official code sets differently from ``Config``'s defaults for a protocol, a number of shots or a data
        set; part of the preset "paper"."""
        return {}

    @classmethod
    def preset(cls, name: str, protocol: str, shots: int, dataset: str) -> dict[str, Any]:
        """All changes to ``Config``'s defaults under a preset."""
        common = {**COMMON_PRESETS.get(name, {}), **cls.presets.get(name, {})}
        return {**common, **(cls.official(protocol, shots, dataset) if name == "paper" else {})}

    @classmethod
    def depths(cls, backbone: Backbone) -> list[dict[str, Any]]:
        """Changes of settings that make it learn at one depth after another, shallow to deep, on towers such as
        ``backbone``'s: for the analysis of depth. Empty if it has no such setting."""
        return []

    @classmethod
    def incompatibility(cls, config: Any, backbone: Backbone) -> str | None:
        """Why this method cannot work on ``backbone``, in a sentence; None if it can."""
        return None

    @classmethod
    def from_official(cls, content: Mapping[str, Any]) -> Official | None:
        """The module in a checkpoint of this method's official code; None if ``content`` is not such a checkpoint.

        Raises:
            Incompatible: it is one, of a form that this method does not have.
        """
        return None

    @classmethod
    def as_peft(cls, config: Any, tensors: Mapping[str, torch.Tensor], *, siglip: bool = False) -> dict[str, Any] | None:
        """A module as an adapter of Hugging Face's PEFT on ``CLIPModel``, or on ``SiglipModel``; see
        ``peft_files.write_adapter``. None if it cannot be one."""
        return None

    @classmethod
    def carry(cls, config: Any, tensors: Mapping[str, torch.Tensor], passage: Passage) -> dict[str, torch.Tensor]:
        """The learnt tensors as another backbone takes them: as they are, unless a method says otherwise. No images and no
        labels may be used.

        Raises:
            Incompatible: they cannot be carried to it.
        """
        return dict(tensors)

    @classmethod
    def is_offset(cls, name: str) -> bool:
        """Whether a learnt tensor is one of ``offsets``."""
        return any(fnmatchcase(name, pattern) for pattern in cls.offsets)

    @property
    def needs_pixels(self) -> bool:
        """True if the image tower must run on every step; False if its cached features are enough."""
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

    def backward(self, loss: torch.Tensor, scale: Callable[[torch.Tensor], torch.Tensor]) -> None:
        """Put the gradients of ``loss`` into the learnt tensors. Whatever is differentiated must go through ``scale``,
        which keeps half precision from losing small gradients."""
        scale(loss).backward()

    def after_step(self, step: int, steps: int, per_epoch: int) -> None:
        """Called after each optimiser step, from 1 to ``steps``."""

    def training_state(self) -> dict[str, torch.Tensor]:
        """What ``after_step`` has gathered so far, if anything: a training that is interrupted goes on with it."""
        return {}

    def restore_training(self, state: dict[str, torch.Tensor]) -> None:
        """Take back a ``training_state``, on any device."""

    def solve(self, train: Batch, held_out: Batch | None) -> None:
        """Find what is learnt without gradient steps: a closed form on the plain training images, or a choice on held-out
        ones where the data set has any. Called once, after the steps; what is set here does not require gradients."""

    # --- what methods may use -----------------------------------------------------------------------------------

    @cached_property
    def zero_shot_features(self) -> torch.Tensor:
        """Un-normalised text features (C, d) of the dataset's own template, without gradient."""
        with torch.no_grad():
            return self.template_features(self.backbone.encode_ids)

    def template_features(
        self, encode: Callable[[torch.Tensor, torch.Tensor], torch.Tensor], template: str | None = None
    ) -> torch.Tensor:
        """Text features (C, d) of a template, the dataset's own unless another is given, from token ids and end-of-text
        positions through ``encode``; in pieces if there are many classes."""
        if template not in self._tokens:
            self._tokens[template] = self.backbone.tokenize(self.classes.texts(template))
        tokens = self._tokens[template]
        return by_rows(encode, tokens.ids, tokens.eot)

    def ensemble_features(self, templates: Sequence[str], *, normalise: bool) -> torch.Tensor:
        """Text features (C, d), the mean over templates of the features, normalised before if asked; without gradient."""
        by_template = []
        with torch.no_grad():
            for template in templates:
                features = self.template_features(self.backbone.encode_ids, template)
                by_template.append(F.normalize(features, dim=-1) if normalise else features)
        return torch.stack(by_template).mean(0)

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
            Incompatible: names or shapes differ from what this backbone needs.
        """
        own = dict(self.named_parameters())
        problem = shape_mismatch(
            {n: tuple(v.shape) for n, v in own.items()}, {n: tuple(v.shape) for n, v in tensors.items()}
        )
        if problem:
            raise Incompatible(f"{problem} on {self.backbone.name}")
        with torch.no_grad():
            for name, value in tensors.items():
                own[name].copy_(value)
        self._cached_classes = None


BARE = ""
"""Name of the tensor in a file that holds nothing else."""


@dataclass(frozen=True)
class Official:
    """A module as a method's official code saved it, in this suite's terms."""

    settings: dict[str, Any]
    """Hyper-parameters that the checkpoint determines."""
    tensors: dict[str, torch.Tensor]
    note: str = ""
    """What was left out or assumed."""
    classes: tuple[str, ...] = ()
    """Those that it was trained on, where the file tells."""


def official_state(content: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """Tensors by name of a checkpoint of Dassl, or of a bare state dict, without DataParallel's ``module.``."""
    state = content.get("state_dict", content)
    if not isinstance(state, Mapping):
        return {}
    return {str(name).removeprefix("module."): value for name, value in state.items() if isinstance(value, torch.Tensor)}
