"""PromptSRC: prompts in both towers, regularised towards the frozen model in three ways and averaged over training."""

import math
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Literal

import torch
from pydantic import Field
from torch.nn import functional as F

from benchmark.backbones.clip import Backbone
from benchmark.data.prompt_texts import OPENAI_IMAGENET_TEMPLATES
from benchmark.method import Batch, Incompatible, Info, Method, Official
from benchmark.method.base import official_state
from benchmark.method.deep_prompts import FROZEN, NOTE, DeepPrompts, no_deep_prompts, official_prompts
from benchmark.method.prompts import ContextConfig

LATE = frozenset("stanford-cars oxford-flowers fgvc-aircraft dtd eurosat".split())
"""Data sets whose few-shot configuration averages around a late epoch, the 45th of 50."""


WEIGHT = "sum of weights"
"""Name of the weights' sum among the running averages."""


class PromptSrc(Method):
    """IVLP with L = L_ce + 25 mean|n(t) - n(t0)| + 10 mean|n(f) - n(f0)| + KL(p0 || p) / C, and prompts averaged over epochs
    with Gaussian weights (equations 3-8). t0 is the mean of the frozen text features over templates, f0 the frozen image
    feature of the same view.

    The official templates are the first 60 of CLIP's 80 for ImageNet ("imagenet-60").
    """

    info = Info(
        name="promptsrc",
        title="PromptSRC",
        summary="prompts in both towers regularised towards the frozen model, averaged over training",
        tunes=("text", "vision"),
        depth="deep",
        paper="Self-regulating Prompts: Foundational Model Adaptation without Forgetting",
        year=2023,
        venue="ICCV",
        url="https://arxiv.org/abs/2307.06948",
        code="https://github.com/muzairkhattak/PromptSRC",
        parameters="min(depth, L_t) * n_ctx * d_t + min(depth, L_v) * n_image * d_v",
        transfer="the tokens are put into the new towers; needs towers of equal widths and as many layers",
        bibtex="""@inproceedings{khattak2023promptsrc,
  title={Self-regulating Prompts: Foundational Model Adaptation without Forgetting},
  author={Khattak, Muhammad Uzair and Wasim, Syed Talal and Naseer, Muzammal and Khan, Salman and others},
  booktitle={ICCV}, year={2023}}""",
    )

    class Config(ContextConfig):
        """Defaults: the official configuration for base-to-new."""

        lr: float = Field(default=0.0025, gt=0)
        batch_size: int = Field(default=4, ge=1)
        epochs: int = Field(default=20, ge=0)
        n_ctx: int = Field(default=4, ge=1)
        """Context tokens."""
        n_image: int = Field(default=4, ge=1)
        """Tokens in the image tower."""
        depth: int = Field(default=9, ge=1)
        """Layers of each tower with their own prompts; a tower with fewer layers has prompts in all."""
        text_weight: float = Field(default=25.0, ge=0)
        image_weight: float = Field(default=10.0, ge=0)
        logit_weight: float = Field(default=1.0, ge=0)
        average_every: Literal["epoch", "step"] = "epoch"
        """When prompts are added to the average; use "step" if training is shorter than a few epochs."""
        average_mean: float = Field(default=15.0, gt=0)
        """Of the Gaussian weights, in epochs (or steps) from 1."""
        average_std: float = Field(default=1.0, gt=0)
        templates: Literal["imagenet-60", "imagenet-80", "dataset"] = "imagenet-60"
        """What t0 is the mean over."""

    presets = {
        "small": {
            "steps": 20,
            "batch_size": 16,
            "warmup_epochs": 0,
            "anneal": "step",
            "average_every": "step",
            "average_mean": 15.0,
            "average_std": 1.0,
            "templates": "dataset",
            "lr": 0.1,
        }
    }

    @classmethod
    def official(cls, protocol: str, shots: int, dataset: str) -> dict[str, Any]:
        """Few-shot: 50 epochs, averaged around the 45th or the 30th. Across data sets and domains: three layers."""
        if protocol == "few-shot":
            mean, std = (45.0, 5.0) if dataset in LATE else (30.0, 30.0)
            return {"epochs": 50, "average_mean": mean, "average_std": std}
        if protocol in ("cross-dataset", "domain"):
            return {"depth": 3, "average_mean": 6.0, "average_std": 10.0}
        return {}

    @classmethod
    def incompatibility(cls, config: Any, backbone: Backbone) -> str | None:
        return no_deep_prompts(backbone, config.n_ctx, config.n_image)

    @classmethod
    def from_official(cls, content: Mapping[str, Any]) -> Official | None:
        """``ctx``, ``VPT`` and ``VPT_shallow`` of the whole model that the official code saves as ``VLPromptLearner``, with
        the frozen image tower of its teacher, which IVLP does not have; the weights of CLIP in it are not used."""
        state = official_state(content)
        tensors = official_prompts(state)
        if "prompts.image" not in tensors or not any(FROZEN in name for name in state):
            return None
        depths = {1 + len(tensors.get("prompts.text", ())), len(tensors["prompts.image"])}
        if len(depths) > 1:
            raise Incompatible("its towers have prompts in different numbers of layers")
        sizes = {"n_ctx": len(tensors["prompts.context"]), "n_image": tensors["prompts.image"].shape[1]}
        return Official(sizes | {"depth": depths.pop()}, tensors, NOTE)

    @property
    def needs_pixels(self) -> bool:
        return True

    def build(self) -> None:
        c = self.config
        words = self.classes.first_words(c.init_words)
        self.prompts = DeepPrompts(self.backbone, self.classes, c.n_ctx, c.depth, c.n_image, c.depth, words)
        self._average: dict[str, torch.Tensor] = {}
        self._weight = 0.0

    def class_features(self) -> torch.Tensor:
        return self.prompts.class_features()

    def image_features(self, batch: Batch) -> torch.Tensor:
        assert batch.pixels is not None
        return self.prompts.image_features(batch.pixels)

    @cached_property
    def frozen_texts(self) -> torch.Tensor:
        """t0 (C, d), un-normalised."""
        source, _, count = self.config.templates.partition("-")
        imagenet = [fill("{}") for fill in OPENAI_IMAGENET_TEMPLATES]
        templates = imagenet[: int(count)] if source == "imagenet" else self.classes.templates
        return self.ensemble_features(templates, normalise=False)

    def loss(self, batch: Batch) -> torch.Tensor:
        assert batch.pixels is not None
        config, texts, images = self.config, self.class_features(), self.image_features(batch)
        with torch.no_grad():
            texts0, images0 = self.frozen_texts, self.backbone.encode_image(batch.pixels)
            teacher = self.backbone.logits(images0, texts0).log_softmax(-1)
        logits = self.backbone.logits(images, texts)
        divergence = F.kl_div(logits.log_softmax(-1), teacher, reduction="sum", log_target=True) / logits.numel()
        return (
            F.cross_entropy(logits, batch.labels)
            + config.text_weight * (F.normalize(texts, dim=-1) - F.normalize(texts0, dim=-1)).abs().mean()
            + config.image_weight * (F.normalize(images, dim=-1) - F.normalize(images0, dim=-1)).abs().mean()
            + config.logit_weight * divergence
        )

    def training_state(self) -> dict[str, torch.Tensor]:
        return {**self._average, WEIGHT: torch.tensor(self._weight, dtype=torch.float64)}

    def restore_training(self, state: dict[str, torch.Tensor]) -> None:
        moved = {name: value.to(self.backbone.device) for name, value in state.items()}
        self._weight, self._average = float(moved.pop(WEIGHT)), moved

    def after_step(self, step: int, steps: int, per_epoch: int) -> None:
        """Gaussian-weighted prompt aggregation (equation 8) of the learnt tensors; an incomplete last epoch counts as one.
        If all weights vanish, the last iterate is kept."""
        unit = per_epoch if self.config.average_every == "epoch" else 1
        if step % unit == 0 or step == steps:
            count = -(-step // unit)
            weight = math.exp(-0.5 * ((count - self.config.average_mean) / self.config.average_std) ** 2)
            self._weight += weight
            for name, value in self.named_parameters():
                before = self._average.get(name, torch.zeros_like(value, dtype=torch.float64))
                self._average[name] = before + weight * value.detach().double()
        if step == steps:
            with torch.no_grad():
                for name, value in self.named_parameters() if self._weight > 0 else ():
                    value.copy_(self._average[name] / self._weight)
            self._average, self._weight = {}, 0.0
