"""Tip-Adapter and Tip-Adapter-F: the zero-shot classifier plus a cache of the few training images."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional as F

from benchmark.method import BARE, Batch, Crop, Incompatible, Info, Method, MethodConfig, Official

ALPHA = {
    "stanford-cars": 3.0,
    "caltech101": 3.0,
    "oxford-flowers": 10.0,
    "fgvc-aircraft": 5.0,
    "dtd": 2.0,
    "eurosat": 2.0,
    "ucf101": 3.0,
}
"""alpha by data set in the official configurations; 1.17 for all others."""
SEARCH = {
    "caltech101": (12.0, 5.0),
    "stanford-cars": (20.0, 10.0),
    "oxford-flowers": (50.0, 50.0),
    "food101": (10.0, 10.0),
    "fgvc-aircraft": (30.0, 30.0),
    "sun397": (12.0, 10.0),
    "dtd": (13.0, 13.0),
    "eurosat": (12.0, 10.0),
}
"""Largest (beta, alpha) of the search, by data set; (7, 3) for all others."""


class TipAdapter(Method):
    """z = s f W^T + (s / 100) alpha exp(-beta (1 - f F^T)) V on normalised f (equations 5-7).

    W is the zero-shot classifier, F (N, d) the normalised mean features of the training images over augmented views, V their
    labels. The official code has s = 100; the factor s / 100 keeps the proportion of the two terms for every s. On
    another backbone F is encoded again from the same images. The published results choose alpha and beta on the whole
    validation set, and on the *test* set for ImageNet; here they are chosen on a few held-out images, if there are any.
    """

    info = Info(
        name="tip-adapter",
        title="Tip-Adapter",
        summary="the zero-shot classifier plus a cache of the training images, nothing trained",
        tunes=("features",),
        depth="deep",
        class_bound=True,
        keeps_images=True,
        aliases=("tip",),
        paper="Tip-Adapter: Training-free Adaption of CLIP for Few-shot Classification",
        year=2022,
        venue="ECCV",
        url="https://arxiv.org/abs/2207.09519",
        code="https://github.com/gaopengcuhk/Tip-Adapter",
        parameters="2",
        transfer="the keys are encoded again from the training images, which must be kept; fits every backbone",
        bibtex="""@inproceedings{zhang2022tip,
  title={Tip-Adapter: Training-free Adaption of {CLIP} for Few-shot Classification},
  author={Zhang, Renrui and Zhang, Wei and Fang, Rongyao and Gao, Peng and Li, Kunchang and others},
  booktitle={ECCV}, year={2022}}""",
    )

    class Config(MethodConfig):
        """Defaults: the official configuration of most data sets."""

        views: int = Field(default=10, ge=1)
        """Augmented views that each key averages."""
        crop: Crop | None = (0.5, 1.0)
        alpha: float = Field(default=1.17, ge=0)
        beta: float = Field(default=1.0, gt=0)
        search: bool = True
        """Choose alpha and beta on held-out images, where the data set has any."""
        largest_beta: float = Field(default=7.0, gt=0.1)
        largest_alpha: float = Field(default=3.0, gt=0.1)

    presets = {"small": {"views": 4, "crop": None, "search": False, "alpha": 100.0}}
    trials: ClassVar[tuple[str, tuple[float, ...]] | None] = ("alpha", (0.3, 1.0, 3.0, 10.0, 30.0, 100.0))

    @classmethod
    def official(cls, protocol: str, shots: int, dataset: str) -> dict[str, Any]:
        """alpha and the grid by data set."""
        beta, alpha = SEARCH.get(dataset, (7.0, 3.0))
        return {"alpha": ALPHA.get(dataset, 1.17), "largest_beta": beta, "largest_alpha": alpha}

    def build(self) -> None:
        assert self.few_shots is not None  # keeps_images
        templates = self.classes.ensemble or (self.classes.template,)
        self.texts = self.ensemble_features(templates, normalise=True)
        with torch.no_grad():
            self.first_keys = F.normalize(self.few_shots.encode(self.config.views).mean(0), dim=-1)
            self.values = F.one_hot(self.few_shots.labels, len(self.classes.names)).float()
        self.alpha = nn.Parameter(torch.tensor(self.config.alpha), requires_grad=False)
        self.beta = nn.Parameter(torch.tensor(self.config.beta), requires_grad=False)

    def keys(self) -> torch.Tensor:
        """F (N, d)."""
        return self.first_keys

    def class_features(self) -> torch.Tensor:
        return self.texts

    def logits(self, batch: Batch) -> torch.Tensor:
        zero_shot, affinity = self._parts(batch)
        return zero_shot + self.backbone.logit_scale / 100 * self._cache(affinity, self.alpha, self.beta)

    def _parts(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        features = self.image_features(batch)
        return self.backbone.logits(features, self.texts), F.normalize(features, dim=-1) @ self.keys().T

    def _cache(self, affinity: torch.Tensor, alpha: torch.Tensor | float, beta: torch.Tensor | float) -> torch.Tensor:
        return alpha * ((-beta * (1 - affinity)).exp() @ self.values)

    def solve(self, train: Batch, held_out: Batch | None) -> None:
        """The official grid: 200 values of beta times 20 of alpha; the first of equally good pairs."""
        if not self.config.search or held_out is None:
            return
        best = -1.0
        with torch.no_grad():
            zero_shot, affinity = self._parts(held_out)
            for beta in _grid(self.config.largest_beta, 200):
                cache = self.backbone.logit_scale / 100 * self._cache(affinity, 1.0, beta)
                for alpha in _grid(self.config.largest_alpha, 20):
                    accuracy = float(((zero_shot + alpha * cache).argmax(1) == held_out.labels).float().mean())
                    if accuracy > best:
                        best = accuracy
                        self.alpha.fill_(alpha)
                        self.beta.fill_(beta)


def _grid(largest: float, count: int) -> list[float]:
    return [0.1 + i * (largest - 0.1) / count for i in range(count)]


class TipAdapterF(TipAdapter):
    """Tip-Adapter whose keys are trained (section 3.2). The module is the keys' change, which on another backbone is added
    to the keys encoded there; AdamW's weight decay therefore acts on the change, not on the keys. The last iterate is kept;
    the published results are those of the epoch that is best on the test set."""

    info = replace(
        TipAdapter.info,
        name="tip-adapter-f",
        title="Tip-Adapter-F",
        aliases=("tip-f",),
        summary="Tip-Adapter whose keys are trained",
        parameters="N * d + 2",
        transfer="the keys' change is added to keys encoded again from the training images; needs an equal embedding width",
    )

    class Config(TipAdapter.Config):
        """Defaults: the official configuration."""

        optimizer: Literal["sgd", "adam", "adamw"] = "adamw"
        lr: float = Field(default=1e-3, gt=0)
        eps: float = Field(default=1e-4, gt=0)
        weight_decay: float = Field(default=1e-2, ge=0)
        batch_size: int = Field(default=256, ge=1)
        epochs: int = Field(default=20, ge=0)
        warmup_epochs: int = Field(default=0, ge=0)
        anneal: Literal["epoch", "step"] = "step"
        drop_last: bool = False

    presets = {
        "small": {
            **TipAdapter.presets["small"],
            "alpha": 3.0,
            "steps": 100,
            "batch_size": 32,
            "drop_last": True,
            "lr": 0.03,
        }
    }
    offsets: ClassVar[tuple[str, ...]] = ("change",)
    spaces = {"change": ("", "features"), "kept": ("", "features"), "alpha": (), "beta": ()}
    trials = None

    @classmethod
    def official(cls, protocol: str, shots: int, dataset: str) -> dict[str, Any]:
        """As Tip-Adapter; five times as many epochs on EuroSAT."""
        return {**super().official(protocol, shots, dataset), "epochs": 100 if dataset == "eurosat" else 20}

    def build(self) -> None:
        super().build()
        self.change = nn.Parameter(torch.zeros(self.first_keys.shape))

    def keys(self) -> torch.Tensor:
        return self.first_keys + self.change


class TipAdapterFOldKeys(TipAdapterF):
    """Tip-Adapter-F that carries its trained keys to another backbone unchanged: the strict reading of reusing a module.
    Of the training images, only the labels are used there."""

    info = replace(
        TipAdapterF.info,
        name="tip-adapter-f-old-keys",
        title="Tip-Adapter-F, old keys",
        aliases=(),
        summary="Tip-Adapter-F that keeps the old backbone's keys on a new one",
        transfer="the keys stay unchanged, in the old feature space; needs an equal embedding width",
    )
    offsets = ()

    @classmethod
    def from_official(cls, content: Mapping[str, Any]) -> Official | None:
        """The keys (N, d) of the official ``best_F_Kshots.pt``, a file with one tensor. It holds neither alpha and beta nor
        the labels; these are those of the data set's training images, in the order of the official few-shot draw."""
        keys = content.get(BARE)
        if keys is None or keys.ndim != 2:
            return None
        keys = keys.float()
        if bool(((keys.norm(dim=0) - 1).abs() < 0.01).all()):
            raise Incompatible(
                "these are the keys of Tip-Adapter itself, in which nothing is learnt: run tip-adapter instead"
            )
        values = {name: torch.tensor(cls.Config().model_dump()[name]) for name in ("alpha", "beta")}
        note = f"assumed: alpha {values['alpha']:.3g} and beta {values['beta']:.3g}, which the file lacks"
        return Official({}, {"kept": keys, **values}, note)

    def build(self) -> None:
        super().build()
        self.kept = nn.Parameter(self.first_keys.clone())
        del self.change

    def keys(self) -> torch.Tensor:
        return self.kept
