"""How related two backbones are, from words alone: how well a map between their spaces serves words it was not fitted on."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional as F

from benchmark.backbones.clip import Backbone
from benchmark.method.space_maps import FEWEST, procrustes, token_vectors, whole_words, word_vectors
from benchmark.method.terms import Space


@dataclass(frozen=True, eq=False)
class WordTable:
    """The token embeddings (N, d_t) of a backbone's whole words, so that it can be compared after it is gone."""

    words: tuple[str, ...]
    """In alphabetical order."""
    vectors: torch.Tensor

    def relatedness(self, new: WordTable) -> float | None:
        """``relatedness`` of the two backbones' token embeddings; None if they share too few words."""
        places = {word: place for place, word in enumerate(new.words)}
        shared = [(place, places[word]) for place, word in enumerate(self.words) if word in places]
        if len(shared) < FEWEST:
            return None
        mine, theirs = (torch.tensor(side) for side in zip(*shared, strict=True))
        return agreement(self.vectors[mine], new.vectors[theirs])


def word_table(backbone: Backbone) -> WordTable:
    """The whole words of a backbone and their token embeddings."""
    words = sorted(whole_words(backbone))
    return WordTable(tuple(words), token_vectors(backbone, words))


EVERY = 3
"""One word of so many is held out."""
TEMPLATE = "a photo of a {}."
SCALE = "1: the same words but for a rotation, 0: unrelated"
"""What the figure means, wherever it is shown."""


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
    return agreement(*word_vectors(old, new, space, template))


def agreement(before: torch.Tensor, after: torch.Tensor) -> float:
    """Relatedness from vectors (N, a) and (N, b) of the same words; see ``relatedness``."""
    held_out = torch.arange(len(before)) % EVERY == EVERY - 1
    before, after = (side - side[~held_out].mean(0) for side in (before, after))
    mapped = before[held_out] @ procrustes(before[~held_out], after[~held_out])
    return float(F.cosine_similarity(mapped, after[held_out], dim=1).mean())
