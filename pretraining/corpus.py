"""The drawings that a release is pre-trained on: ink maps, names, and which of them may be mirrored."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from benchmark.backbones import bpe
from benchmark.data.duplicates import THRESHOLD, fingerprints
from benchmark.data.icons.families import FAMILIES, PRETRAINING
from benchmark.data.icons.render import ink_maps
from pretraining.captions import TEMPLATES, sayings, words

ONE_COLOUR_DOWNSTREAM = ("tabler", "remix", "phosphor")

_SIDED = frozenset(
    "left right up down top bottom north south east west alpha numeric number letter letters text forward back backward "
    "next previous undo redo signature music format translate ab abc code question percent currency".split()
)
"""Words whose drawings change their meaning when mirrored."""


@dataclass(frozen=True)
class Corpus:
    """Drawings for pre-training. ``pictures[d]`` lists the rows of ``ink`` that show drawing ``d`` (its styles)."""

    ink: torch.Tensor
    pictures: list[list[int]]
    stems: list[str]
    flip_ok: torch.Tensor
    nouns: torch.Tensor
    """Index of the drawing's first word among the common ones, -100 if it is rare."""
    noun_count: int

    @classmethod
    def load(cls, families: Sequence[str]) -> Corpus:
        """Render the families and drop empty glyphs and near-duplicates of downstream drawings."""
        glyphs = [glyph for name in families for glyph in FAMILIES[name].glyphs()]
        ink = np.concatenate([ink_maps(FAMILIES[name].glyphs()) for name in families])
        mask = usable(ink)
        glyphs, ink = [glyph for glyph, kept in zip(glyphs, mask, strict=True) if kept], ink[mask]
        rows: dict[tuple[str, str], list[int]] = defaultdict(list)
        for row, glyph in enumerate(glyphs):
            rows[glyph.family, glyph.stem].append(row)
        stems = [stem for _, stem in rows]
        heads = Counter(words(stem)[0] for stem in stems)
        common = {head: i for i, head in enumerate(sorted(head for head, count in heads.items() if count >= 4))}
        return cls(
            ink=torch.from_numpy(ink),
            pictures=list(rows.values()),
            stems=stems,
            flip_ok=torch.tensor([not _SIDED & set(stem.split("-")) for stem in stems]),
            nouns=torch.tensor([common.get(words(stem)[0], -100) for stem in stems]),
            noun_count=len(common),
        )


def usable(ink: np.ndarray) -> np.ndarray:
    """Mask (N,) of the usable ink maps: not empty, and not a near-duplicate of a downstream drawing."""
    downstream = np.concatenate([fingerprints(ink_maps(FAMILIES[name].glyphs())) for name in ONE_COLOUR_DOWNSTREAM])
    candidates = fingerprints(ink)
    nearest = np.concatenate(
        [(candidates[start : start + 1024] @ downstream.T).max(1) for start in range(0, len(candidates), 1024)]
    )
    return (nearest < THRESHOLD) & (ink.max((1, 2)) > 0)


def learn_merges(count: int) -> list[tuple[str, str]]:
    """Byte-pair merges from the names of all pre-training families and the caption templates."""
    counts: Counter[str] = Counter()
    for template in TEMPLATES:
        counts.update(dict.fromkeys(template.replace("{}", "").split(), 500))
    for name in PRETRAINING:
        for stem in sorted({glyph.stem for glyph in FAMILIES[name].glyphs()}):
            counts.update(word for saying in sayings(stem) for word in saying.split())
    return bpe.learn(counts, count)
