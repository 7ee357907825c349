"""Pixels and image features of examples, computed once: plain for testing, a bank of augmented views for training.

Features are kept on disk, keyed by backbone, preprocessing and images, so that many cells share them.
"""

from __future__ import annotations

import hashlib
import itertools
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import torch

from benchmark.backbones.clip import Backbone
from benchmark.data.batch import Batch
from benchmark.data.cache import SUFFIX, load_array, save_array
from benchmark.data.dataset import Augmentation, Examples
from benchmark.data.views import Decoded, Decoder, Views, allocate, scratch

CHUNK = 256
"""Images that go through a tower at once."""
KEPT = 4 * 2**30
"""Bytes of tensors that a store keeps, unless it is told otherwise."""
IN_MEMORY = 256 * 2**20
"""Bytes of pixels that are kept in memory; larger arrays go to a file."""


Visits = Iterable[tuple[torch.Tensor, torch.Tensor]]
"""(rows (B,), views (B,)) of the batches of a training: which examples, each in which view."""


class Bank:
    """Views of a set of examples: pixels (V, N, 3, H, W) or features (V, N, d), and labels (N,).

    Pixels may be bytes, which ``normalise`` turns into the backbone's input when a batch is made.
    """

    def __init__(
        self,
        views: torch.Tensor,
        labels: torch.Tensor,
        normalise: Callable[[torch.Tensor], torch.Tensor] | None = None,
        *,
        fresh: bool = False,
    ) -> None:
        """``fresh``: there is a view for every epoch, to be used in that one only."""
        self.views, self.labels, self.normalise, self.fresh = views, labels, normalise, fresh

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def view_count(self) -> int:
        return len(self.views)

    def batches(self, visits: Visits) -> Iterator[Batch]:
        """The batches of a training."""
        return (self.batch(rows, views) for rows, views in visits)

    def all(self) -> Batch:
        """Every example in its first view."""
        rows = torch.arange(len(self), device=self.labels.device)
        return self.batch(rows, torch.zeros_like(rows))

    def batch(self, rows: torch.Tensor, views: torch.Tensor) -> Batch:
        """Examples ``rows`` (B,), each in the view given by ``views`` (B,)."""
        device = self.views.device  # pixels stay on the CPU until they are used
        chosen = self.views[views.to(device, non_blocking=True), rows.to(device, non_blocking=True)]
        labels = self.labels[rows.to(self.labels.device, non_blocking=True)]
        if chosen.ndim == 2:
            return Batch(labels, features=chosen)
        return Batch(labels, pixels=self.normalise(chosen) if self.normalise else chosen)


class Stream:
    """Examples with a new view in every epoch, which is decoded when it is visited, a few batches ahead of its use."""

    fresh = True

    def __init__(self, views: Views, labels: torch.Tensor, backbone: Backbone, decoder: Decoder) -> None:
        self.views, self.labels, self.backbone, self.decoder = views, labels, backbone, decoder

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def view_count(self) -> int:
        return len(self.views.numbers)

    def batches(self, visits: Visits) -> Iterator[Batch]:
        """The batches of a training."""
        ahead, visits = itertools.tee(visits)
        wanted = ([(int(row), self.views.numbers[int(view)]) for row, view in zip(*batch, strict=True)] for batch in ahead)
        made = self.decoder.batches(self.views, self.backbone, wanted)
        for (rows, _), pixels in zip(visits, made, strict=True):
            yield Batch(self.labels[rows.to(self.labels.device)], pixels=self.backbone.normalise(pixels))


class FeatureStore:
    """Makes banks; keeps the latest tensors in memory, and features on disk in ``folder``."""

    def __init__(self, folder: Path | None, *, keep: int = KEPT, threads: int = 1, deferred: bool = False) -> None:
        """``keep``: bytes of tensors in memory, apart from the latest. ``deferred``: features reach the disk with ``commit``
        only."""
        self.folder, self.keep, self.deferred = folder, keep, deferred
        self._pending: dict[str, torch.Tensor] = {}
        self._decoder = Decoder(threads)
        self._kept: OrderedDict[str, torch.Tensor] = OrderedDict()

    def training(
        self, backbone: Backbone, examples: Examples, how: Augmentation, views: int, *, pixels: bool, fresh: bool = False
    ) -> Bank:
        """A bank of ``views`` views; a single view is the plain image, several are all augmented. With ``fresh``, a single
        one is augmented too, see ``Bank``."""
        numbers = tuple(range(1, views + 1)) if views > 1 or fresh else (0,)
        source = Views(examples.images, how, numbers)
        labels = torch.tensor(examples.labels, dtype=torch.long, device=backbone.device)
        if pixels:
            pixel_views = self._pixels(backbone, source).unflatten(0, (views, -1))
            return Bank(pixel_views, labels, backbone.normalise, fresh=fresh)
        return Bank(self._features(backbone, source).unflatten(0, (views, -1)).to(backbone.device), labels, fresh=fresh)

    def fresh(self, backbone: Backbone, examples: Examples, how: Augmentation, views: int) -> Bank | Stream:
        """Pixels of a new augmented view for each of ``views`` epochs: made once for all who ask, if they are few."""
        if 3 * backbone.image_size**2 * views * len(examples) <= IN_MEMORY:
            return self.training(backbone, examples, how, views, pixels=True, fresh=True)
        labels = torch.tensor(examples.labels, dtype=torch.long, device=backbone.device)
        source = Views(Decoded(examples.images), how, tuple(range(1, views + 1)))
        return Stream(source, labels, backbone, self._decoder)

    def testing(self, backbone: Backbone, examples: Examples, *, pixels: bool) -> Bank:
        """A bank of the plain images."""
        return self.training(backbone, examples, Augmentation(), 1, pixels=pixels)

    def commit(self) -> None:
        """Write the features that were computed since the last time."""
        for key, features in self._pending.items():
            self._save(key, features)
        self._pending.clear()

    def discard(self) -> None:
        """Forget the features that were computed since the last ``commit``: the backbone was not what it should be."""
        for key in self._pending:
            self._kept.pop(key, None)
        self._pending.clear()

    def _pixels(self, backbone: Backbone, views: Views) -> torch.Tensor:
        """uint8 (V * N, 3, H, W): in memory, or in a file if they are many."""
        key = views.key(backbone)
        if key not in self._kept:
            size = backbone.image_size
            out, _ = allocate((views.count, 3, size, size), self.folder and scratch(self.folder), IN_MEMORY)
            self._decoder.fill(views, backbone, out)
            self._keep(key, out)
        self._kept.move_to_end(key)
        return self._kept[key]

    def _features(self, backbone: Backbone, views: Views) -> torch.Tensor:
        """fp32 (V * N, d), on the CPU."""
        content = f"{views.key(backbone)} {backbone.preprocess_key} {backbone.digest}"
        key = hashlib.sha256(content.encode()).hexdigest()[:32]
        if key not in self._kept:
            features = self._load(key, views.count, backbone.embed_dim)
            if features is None:
                features = self._encode(backbone, views)
                self._pending[key] = features
                if not self.deferred:
                    self.commit()
            self._keep(key, features)
        self._kept.move_to_end(key)
        return self._kept[key]

    def _keep(self, key: str, tensor: torch.Tensor) -> None:
        self._kept[key] = tensor
        while len(self._kept) > 1 and sum(kept.nbytes for kept in self._kept.values()) > self.keep:
            self._kept.popitem(last=False)

    def _encode(self, backbone: Backbone, views: Views) -> torch.Tensor:
        """Few pixels are kept for other backbones of the same geometry; many are discarded after use."""
        few = 3 * backbone.image_size**2 * views.count <= IN_MEMORY
        chunks = self._pixels(backbone, views).split(CHUNK) if few else self._decoder.chunks(views, backbone, CHUNK)
        with torch.no_grad():
            parts = [backbone.encode_image(backbone.normalise(part)).float().cpu() for part in chunks]
        return torch.cat(parts)

    def _load(self, key: str, count: int, width: int) -> torch.Tensor | None:
        """Stored features, if they are complete and undamaged."""
        stored = None if self.folder is None else load_array(self.folder / f"{key}{SUFFIX}")
        if stored is None or stored.shape != (count, width) or stored.dtype != np.float32:
            return None
        return torch.from_numpy(stored)

    def _save(self, key: str, features: torch.Tensor) -> None:
        if self.folder is None:
            return
        save_array(self.folder / f"{key}{SUFFIX}", features.numpy())
