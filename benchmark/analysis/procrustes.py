"""Maps between the spaces of two backbones, fitted without labels or images, and modules carried through them.

A map is orthogonal (orthogonal Procrustes, Schönemann 1966): it keeps lengths and angles, and the same matrix serves vectors
and the matrices that act on them. Where the widths differ it has orthonormal rows or columns, so that modules which do not
fit as they are may fit after it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch.nn import functional as F

from benchmark.backbones.chunking import by_rows
from benchmark.backbones.clip import Backbone
from benchmark.data.batch import ClassList
from benchmark.method.base import Space, axes_of

WORDS = 2048
"""Most words that a map of the joint space is fitted on."""


def procrustes(old: torch.Tensor, new: torch.Tensor) -> torch.Tensor:
    """R (a, b) with orthonormal rows or columns that minimises |old R - new|, from (N, a) and (N, b) of the same items."""
    u, _, vh = torch.linalg.svd(old.double().T @ new.double(), full_matrices=False)
    return (u @ vh).to(old.dtype)


def shared_words(old: Backbone, new: Backbone) -> list[str]:
    """Words that are one token in both vocabularies, in alphabetical order."""
    return sorted(whole_words(old) & whole_words(new))


def whole_words(backbone: Backbone) -> set[str]:
    """Words of a byte-pair vocabulary that are one token."""
    ending = "</w>"
    known = [str(piece) for piece in getattr(backbone.tokenizer, "encoder", {})]
    return {piece.removesuffix(ending) for piece in known if piece.endswith(ending) and piece.removesuffix(ending).isalpha()}


class Maps:
    """The maps from one backbone to another, each fitted when it is first asked for."""

    def __init__(self, old: Backbone, new: Backbone, template: str) -> None:
        self.old, self.new, self.template = old, new, template
        self._made: dict[Space, torch.Tensor] = {}

    def of(self, space: Space) -> torch.Tensor:
        """The map (a, b) of a space.

        Raises:
            ValueError: the vocabularies share too few words.
        """
        if space not in self._made:
            words = shared_words(self.old, self.new)
            if len(words) < 32:
                raise ValueError(f"the two tokenizers share {len(words)} whole words, too few to fit a map on")
            sides = (self.old, self.new)
            if space == "tokens":
                self._made[space] = procrustes(*(_embeddings(each, words) for each in sides))
            else:
                some = words[:: -(-len(words) // WORDS)]
                self._made[space] = procrustes(*(_features(each, some, self.template) for each in sides))
        return self._made[space]

    def carry(self, tensors: Mapping[str, torch.Tensor], spaces: Mapping[str, Sequence[Space]]) -> dict[str, torch.Tensor]:
        """Learnt tensors, every axis that lives in a space of the old backbone turned into the new one's.

        Raises:
            ValueError: a tensor's spaces are not declared.
        """
        found = {}
        for name, value in tensors.items():
            axes = axes_of(name, spaces)
            if axes is None or len(axes) != value.ndim:
                raise ValueError(f"{name} lives in no space that can be mapped")
            for axis, space in enumerate(axes):
                if space:
                    value = torch.tensordot(value, self.of(space), dims=([axis], [0])).movedim(-1, axis)
            found[name] = value.contiguous()
        return found


def _embeddings(backbone: Backbone, words: list[str]) -> torch.Tensor:
    """(N, d_t) token embeddings of words of one token."""
    tokens = backbone.tokenize(words)
    with torch.no_grad():
        return backbone.embed(tokens.ids)[:, tokens.start].float().cpu()


def _features(backbone: Backbone, words: list[str], template: str) -> torch.Tensor:
    """(N, d) normalised text features of words in a template."""
    tokens = backbone.tokenize(ClassList(tuple(words), template).texts())
    with torch.no_grad():
        return F.normalize(by_rows(backbone.encode_ids, tokens.ids, tokens.eot).float(), dim=-1).cpu()
