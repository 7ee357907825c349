"""Maps between the spaces of two backbones, fitted without labels or images, and modules carried through them.

``procrustes`` is orthogonal (Schönemann 1966): it keeps lengths and angles, and the same matrix serves vectors and the
matrices that act on them. Where the widths differ it has orthonormal rows or columns, so that modules which do not fit as
they are may fit after it. ``ridge`` fits better and serves vectors only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch.nn import functional as F

from benchmark.backbones.clip import Backbone
from benchmark.backbones.shared_prefix import encode_alike
from benchmark.data.batch import ClassList
from benchmark.method.terms import Space, axes_of

WORDS = 2048
"""A map of the joint space is fitted on at most this many words."""
ENDING = "</w>"
"""How a byte-pair vocabulary marks the end of a word."""
FEWEST = 32
"""With fewer shared words no map is fitted."""
PENALTIES = tuple(10.0**exponent for exponent in range(-6, 3))
"""Ridge penalties that are tried, in multiples of the mean squared singular value."""
Fit = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""From (N, a) and (N, b) of the same N items to a map (a, b)."""


def procrustes(old: torch.Tensor, new: torch.Tensor) -> torch.Tensor:
    """R (a, b) with orthonormal rows or columns that minimises |old R - new|, from (N, a) and (N, b) of the same items."""
    u, _, vh = torch.linalg.svd(old.double().T @ new.double(), full_matrices=False)
    return (u @ vh).to(old.dtype)


def ridge(old: torch.Tensor, new: torch.Tensor) -> torch.Tensor:
    """W (a, b) that minimises |old W - new|^2 + p |W|^2, from (N, a) and (N, b) of the same items, in 64 bits.

    The penalty p is the one of ``PENALTIES`` with the smallest generalised cross-validation error.

    Source: Hoerl and Kennard 1970, "Ridge Regression"; Golub, Heath and Wahba 1979, equation 1.4, for the penalty.
    """
    u, s, vh = torch.linalg.svd(old.double(), full_matrices=False)
    target = u.T @ new.double()
    outside = new.double().square().sum() - target.square().sum()
    count, best = len(old), (torch.inf, 0.0)
    for penalty in (scale * float(s.square().mean()) for scale in PENALTIES):
        shrunk = penalty / (s.square() + penalty)
        residual = outside + (shrunk[:, None] * target).square().sum()
        freedom = count - float((1 - shrunk).sum())
        best = min(best, (float(residual) / max(freedom, 1e-9) ** 2, penalty))
    weights = s / (s.square() + best[1])
    return (vh.T @ (weights[:, None] * target)).to(old.dtype)


def centred(old: torch.Tensor, new: torch.Tensor) -> torch.Tensor:
    """``procrustes`` of the vectors less their means: what carries a difference of two vectors."""
    return procrustes(old - old.mean(0), new - new.mean(0))


def relative(old: torch.Tensor, new: torch.Tensor) -> torch.Tensor:
    """M (a, b), with A and B the rows of old and new at unit length: x M has, in the least-squares sense, the dot products
    with B that x has with A.

    Source: zero-shot continuous prompt transfer (Wu et al. 2024), section 3.2. The paper finds x M by 2,000 steps of Adam;
    as cosines do not depend on its length, least squares have the same optimum.
    """
    anchors, targets = (F.normalize(side.double(), dim=-1) for side in (old, new))
    return (anchors.T @ torch.linalg.pinv(targets).T).to(old.dtype)


def shared_words(old: Backbone, new: Backbone) -> list[str]:
    """Words that are one token in both vocabularies, in alphabetical order."""
    return sorted(whole_words(old) & whole_words(new))


def whole_words(backbone: Backbone) -> set[str]:
    """Words of a byte-pair vocabulary that are one token, in the lower-case letters of ASCII: capitals become other words
    when they are tokenized, and other letters are written as bytes in the vocabulary."""
    pieces = [str(piece) for piece in getattr(backbone.tokenizer, "encoder", {})]
    words = {piece.removesuffix(ENDING) for piece in pieces if piece.endswith(ENDING)}
    return {word for word in words if word.isascii() and word.isalpha() and word.islower()}


class SpaceMaps:
    """The maps from one backbone to another, each fitted when it is first asked for."""

    def __init__(self, old: Backbone, new: Backbone, template: str, fit: Fit = procrustes) -> None:
        self.old, self.new, self.template, self.fit = old, new, template, fit
        self._fitted: dict[Space, torch.Tensor] = {}

    def of(self, space: Space) -> torch.Tensor:
        """The map (a, b) of a space.

        Raises:
            ValueError: the vocabularies share too few words.
        """
        if space not in self._fitted:
            self._fitted[space] = self.fit(*word_vectors(self.old, self.new, space, self.template))
        return self._fitted[space]

    def carry(self, tensors: Mapping[str, torch.Tensor], spaces: Mapping[str, Sequence[Space]]) -> dict[str, torch.Tensor]:
        """Learnt tensors, with every axis that lives in a space of the old backbone mapped to the new one's.

        Raises:
            ValueError: a tensor's spaces are not declared.
        """
        carried = {}
        for name, value in tensors.items():
            axes = axes_of(name, spaces)
            if axes is None or len(axes) != value.ndim:
                raise ValueError(f"{name} lives in no space that can be mapped")
            for axis, space in enumerate(axes):
                if space:
                    value = torch.tensordot(value, self.of(space), dims=([axis], [0])).movedim(-1, axis)
            carried[name] = value.contiguous()
        return carried


def word_vectors(old: Backbone, new: Backbone, space: Space, template: str) -> tuple[torch.Tensor, torch.Tensor]:
    """(N, a) and (N, b) of the same words in a space of two backbones: their token embeddings, or their text features in
    ``template``, of ``WORDS`` of them at most.

    Raises:
        ValueError: the vocabularies share too few words.
    """
    words = shared_words(old, new)
    if space == "features" and len(words) < FEWEST:
        words = sorted(whole_words(old) | whole_words(new))  # a sentence needs no word to be one token
    if len(words) < FEWEST:
        raise ValueError(f"the two tokenizers share {len(words)} whole words, too few to fit a map on")
    if space == "tokens":
        return token_vectors(old, words), token_vectors(new, words)
    some = words[:: -(-len(words) // WORDS)]
    return _features(old, some, template), _features(new, some, template)


def token_vectors(backbone: Backbone, words: list[str]) -> torch.Tensor:
    """(N, d_t) token embeddings of some of ``whole_words``."""
    encoder = backbone.tokenizer.encoder
    ids = torch.tensor([encoder[word + ENDING] for word in words], dtype=torch.long, device=backbone.device)
    with torch.no_grad():
        return backbone.embed(ids[:, None])[:, 0].float().cpu()


def _features(backbone: Backbone, words: list[str], template: str) -> torch.Tensor:
    """(N, d) normalised text features of words in a template."""
    tokens = backbone.tokenize(ClassList(tuple(words), template).texts())
    with torch.no_grad():
        return F.normalize(encode_alike(backbone, tokens).float(), dim=-1).cpu()
