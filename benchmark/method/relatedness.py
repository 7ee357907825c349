"""How related two backbones are, from words alone: how well a map between their spaces serves words it was not fitted on."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from benchmark.backbones.clip import Backbone
from benchmark.method.base import Space
from benchmark.method.space_maps import procrustes, word_vectors

EVERY = 3
"""One word of so many is held out."""
TEMPLATE = "a photo of a {}."


def relatedness(old: Backbone, new: Backbone, space: Space = "tokens", template: str = TEMPLATE) -> float:
    """Mean cosine, on held-out words, between the new backbone's vectors and the old one's through an orthogonal map.

    The map is fitted on two thirds of the words that are one token in both vocabularies; both sides are centred on the means
    of these. 1 means the same space but for a rotation, and unrelated backbones are near 0. A map fitted on all words would
    score high between any two backbones where there are few more words than dimensions.

    Args:
        old: One backbone.
        new: The other one; its widths may differ.
        space: Token embeddings, or text features of the words in ``template``.
        template: A sentence with one {}.

    Raises:
        ValueError: the vocabularies share too few words.
    """
    before, after = word_vectors(old, new, space, template)
    held_out = torch.arange(len(before)) % EVERY == EVERY - 1
    before, after = (side - side[~held_out].mean(0) for side in (before, after))
    mapped = before[held_out] @ procrustes(before[~held_out], after[~held_out])
    return float(F.cosine_similarity(mapped, after[held_out], dim=1).mean())
