"""The images that change sides, by class."""

from __future__ import annotations

from collections import Counter

import numpy as np

from benchmark.analysis.check.result import CheckResult
from benchmark.data.thumbnail import address
from benchmark.report.check.content import flip
from benchmark.report.gallery import Group, Picture
from benchmark.report.numbers import number
from benchmark.results.lost_images import EACH, SHOWN, choose


def gallery(result: CheckResult, rows: np.ndarray) -> list[Group]:
    """The images at ``rows`` by class, the classes with most of them first."""
    labels = result.test.examples.labels
    counts = Counter(labels[row] for row in rows.tolist())
    classes = sorted(counts, key=lambda label: (-counts[label], label))
    ranked = [row for label in classes for row in rows.tolist() if labels[row] == label]
    chosen = choose(ranked, lambda row: labels[row], shown=SHOWN, each=EACH)
    groups = []
    for label in classes:
        pictures = [_picture(result, row) for row in chosen if labels[row] == label]
        groups.append(Group(result.test.classes[label], pictures, counts[label] - len(pictures)))
    return groups


def _picture(result: CheckResult, row: int) -> Picture:
    told = flip(result, row)
    confidence = "" if told["confidence"] is None else f" ({number(100 * told['confidence'], 0)} %)"
    caption = f"{told['old']} \N{RIGHTWARDS ARROW} {told['new']}{confidence}"
    return Picture(address(result.test.examples.images, row), f"{told['class']}, {told['image']}", (caption,))
