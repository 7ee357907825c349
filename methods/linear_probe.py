"""Linear probe: logistic regression on the image features, without any text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from pydantic import Field
from torch import nn

from benchmark.method import Batch, Info, Method, MethodConfig

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression

COARSE = (1e6, 1e4, 1e2, 1.0, 1e-2, 1e-4, 1e-6)
"""Values of C that are tried first on held-out images (CoOp's ``lpclip``)."""


class LinearProbe(Method):
    """W f + b on un-normalised features of the plain images, by L-BFGS with an L2 penalty (CLIP, section 3.2; CoOp's code).

    The weights belong to the old feature space and are carried over unchanged: nothing in the new backbone determines them.
    """

    info = Info(
        name="linear-probe",
        title="Linear probe",
        summary="logistic regression on image features, no text",
        tunes=("features",),
        depth="deep",
        class_bound=True,
        aliases=("lp",),
        paper="Learning Transferable Visual Models From Natural Language Supervision",
        year=2021,
        venue="ICML",
        url="https://arxiv.org/abs/2103.00020",
        code="https://github.com/KaiyangZhou/CoOp",
        parameters="C * (d + 1)",
        transfer="the weights are applied to the new image features as they are; needs an equal embedding width",
        bibtex="""@inproceedings{radford2021clip,
  title={Learning Transferable Visual Models From Natural Language Supervision},
  author={Radford, Alec and Kim, Jong Wook and Hallacy, Chris and Ramesh, Aditya and Goh, Gabriel and others},
  booktitle={ICML}, year={2021}}""",
    )

    class Config(MethodConfig):
        """Defaults: CoOp's ``lpclip``. The optimiser's settings are ignored."""

        c: float = Field(default=1.0, gt=0)
        """C, the inverse of the penalty's weight, where it is not searched."""
        search: bool = True
        """Choose C on held-out images, where the data set has any."""
        max_iter: int = Field(default=1000, ge=1)

    presets = {"small": {"search": False, "c": 3.0}}
    spaces = {"weight": ("", "features"), "bias": ("",)}
    trials = ("c", (0.01, 0.03, 0.1, 0.3, 1.0, 3.0))

    def build(self) -> None:
        classes, d = len(self.classes.names), self.backbone.embed_dim
        self.weight = nn.Parameter(torch.zeros(classes, d), requires_grad=False)
        self.bias = nn.Parameter(torch.zeros(classes), requires_grad=False)

    def logits(self, batch: Batch) -> torch.Tensor:
        return self.image_features(batch).float() @ self.weight.T + self.bias

    def solve(self, train: Batch, held_out: Batch | None) -> None:
        x, y = self.image_features(train).float().cpu().numpy(), train.labels.cpu().numpy()
        c = self.config.c
        if self.config.search and held_out is not None:
            c = self._search(x, y, self.image_features(held_out).float().cpu().numpy(), held_out.labels.cpu().numpy())
        self._put(self._fitted(x, y, c))

    def _fitted(self, x: np.ndarray, y: np.ndarray, c: float) -> LogisticRegression:
        from sklearn.linear_model import LogisticRegression  # slow to import

        return LogisticRegression(C=c, max_iter=self.config.max_iter).fit(x, y)

    def _search(self, x: np.ndarray, y: np.ndarray, held_x: np.ndarray, held_y: np.ndarray) -> float:
        """Coarse values of C, then eight halvings of the interval around the best in powers of ten; returns the better end
        of the last interval."""

        def score(power: float) -> float:
            return float(self._fitted(x, y, 10**power).score(held_x, held_y))

        best = max((float(np.log10(c)) for c in COARSE), key=score)
        low, high = best - 1, best + 1
        for _ in range(8):
            middle, upper = (low + high) / 2, score(high) > score(low)
            better = high if upper else low
            low, high = (middle, high) if upper else (low, middle)
        return float(10**better)

    def _put(self, fitted: LogisticRegression) -> None:
        weight, bias = torch.tensor(fitted.coef_), torch.tensor(fitted.intercept_)
        if len(weight) == 1:  # two classes: scikit-learn has one score, of the second class against the first
            weight, bias = torch.cat([torch.zeros_like(weight), weight]), torch.cat([torch.zeros_like(bias), bias])
        rows = torch.tensor(fitted.classes_)
        with torch.no_grad():
            self.bias.fill_(-1e4)  # a class without training images is never predicted
            self.weight[rows], self.bias[rows] = weight.to(self.weight), bias.to(self.bias)
