"""TaskRes: a residual for every class on top of the text features."""

from collections.abc import Mapping
from typing import Any, Literal

import torch
from pydantic import Field
from torch import nn

from benchmark.method import Info, Method, MethodConfig, Official
from benchmark.method.base import official_state


class TaskRes(Method):
    """t = B + alpha R, B the mean of the un-normalised text features over the templates, R (C, d) learnt from zero
    (equation 4). The module is R, so on another backbone it is added to that backbone's B. Underscores in class names become
    spaces, which the official code omits.
    """

    info = Info(
        name="taskres",
        title="TaskRes",
        summary="a learnt residual for every class on its text feature",
        tunes=("features",),
        depth="deep",
        class_bound=True,
        paper="Task Residual for Tuning Vision-Language Models",
        year=2023,
        venue="CVPR",
        url="https://arxiv.org/abs/2211.10277",
        code="https://github.com/geekyutao/TaskRes",
        parameters="C * d",
        transfer="the residual is added to the new text features; needs an equal embedding width",
        bibtex="""@inproceedings{yu2023taskres,
  title={Task Residual for Tuning Vision-Language Models},
  author={Yu, Tao and Lu, Zhihe and Jin, Xin and Chen, Zhibo and Wang, Xinchao},
  booktitle={CVPR}, year={2023}}""",
    )

    class Config(MethodConfig):
        """Defaults: the official script at 8 shots and more. Its weight decay is part of Adam's gradient."""

        optimizer: Literal["sgd", "adam", "adamw"] = "adam"
        batch_size: int = Field(default=256, ge=1)
        epochs: int = Field(default=200, ge=0)
        scale: float = Field(default=0.5, gt=0)
        """alpha."""

    presets = {"small": {"steps": 150, "batch_size": 32, "warmup_epochs": 0, "anneal": "step", "lr": 0.1}}
    spaces = {"residual": ("", "features")}
    offsets = ("residual",)

    @classmethod
    def official(cls, protocol: str, shots: int, dataset: str) -> dict[str, Any]:
        """Epochs by shots; a tenth of the learning rate on ImageNet, scale 1 on Flowers102."""
        changes: dict[str, Any] = {"imagenet": {"lr": 2e-4}, "oxford-flowers": {"scale": 1.0}}.get(dataset, {})
        return {"epochs": 100 if shots < 8 else 200, **changes}

    @classmethod
    def from_official(cls, content: Mapping[str, Any]) -> Official | None:
        """``text_feature_residuals`` (C, d) of the official ``prompt_learner``; its base features are not used. The scale is
        not in the file."""
        state = official_state(content)
        if "text_feature_residuals" not in state:
            return None
        note = (
            "assumed: the scale 0.5, which the official script has on all data sets but Flowers102; classes in their order"
        )
        return Official({}, {"residual": state["text_feature_residuals"]}, note)

    def build(self) -> None:
        self.base = self.ensemble_features(self.classes.templates, normalise=False)
        self.residual = nn.Parameter(torch.zeros(self.base.shape))

    def class_features(self) -> torch.Tensor:
        return self.base + self.config.scale * self.residual
