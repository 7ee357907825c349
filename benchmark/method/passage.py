"""What a module may know of the way from the backbone that it was trained on to another: no images, no labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

import torch

from benchmark.backbones.clip import Backbone
from benchmark.method.relatedness import TEMPLATE, agreement
from benchmark.method.space_maps import Fit, SpaceMaps, procrustes, word_vectors
from benchmark.method.terms import Incompatible, Space


class Passage:
    """From one backbone to another. Everything is computed when it is first asked for, once."""

    def __init__(self, old: Callable[[], Backbone], new: Backbone) -> None:
        self._load, self.new = old, new
        self._words: dict[Space, tuple[torch.Tensor, torch.Tensor]] = {}
        self._maps: dict[tuple[str, Fit], SpaceMaps] = {}

    @cached_property
    def old(self) -> Backbone:
        """The backbone that the module was trained on."""
        return self._load()

    def maps(self, template: str = TEMPLATE, fit: Fit = procrustes) -> SpaceMaps:
        """Maps between the spaces of the two, fitted on words in a template."""
        if (template, fit) not in self._maps:
            self._maps[template, fit] = SpaceMaps(self.old, self.new, template, fit)
        return self._maps[template, fit]

    def carried(self, tensors: Mapping[str, torch.Tensor], spaces: Mapping[str, Sequence[Space]]) -> dict[str, torch.Tensor]:
        """Learnt tensors with every axis that lives in a space of the old backbone mapped to the new one's by an orthogonal
        map; see ``SpaceMaps.carry``.

        Raises:
            Incompatible: no map can be fitted, or a tensor has no space.
        """
        try:
            return self.maps().carry(tensors, spaces)
        except ValueError as error:
            raise Incompatible(str(error)) from None

    def word_vectors(self, space: Space) -> tuple[torch.Tensor, torch.Tensor]:
        """Vectors (N, a) and (N, b) of the same words in a space of the two; see ``space_maps.word_vectors``.

        Raises:
            ValueError: the vocabularies share too few words.
        """
        if space not in self._words:
            self._words[space] = word_vectors(self.old, self.new, space, TEMPLATE)
        return self._words[space]

    @cached_property
    def relatedness(self) -> float:
        """How related the two are, from 0 to 1: by their token embeddings, or by their text features where the vocabularies
        share too few words. See ``relatedness``.

        Raises:
            Incompatible: there are too few words for that too.
        """
        try:
            return max(0.0, agreement(*self.word_vectors("tokens")))
        except ValueError:
            return self.joint_relatedness

    @cached_property
    def joint_relatedness(self) -> float:
        """The same of the joint spaces of images and texts, by the text features of words.

        Raises:
            Incompatible: there are too few words.
        """
        try:
            return max(0.0, agreement(*self.word_vectors("features")))
        except ValueError as error:
            raise Incompatible(str(error)) from None
