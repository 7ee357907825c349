"""Pixels and image features of examples, computed once: plain for testing, a bank of augmented views for training.

Features are kept on disk, keyed by backbone, preprocessing and images, so that many cells share them.
"""

from __future__ import annotations

import hashlib
import os
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from benchmark.backbones.clip import Backbone
from benchmark.data.batch import Batch
from benchmark.data.dataset import Augmentation, Examples
from benchmark.data.views import Decoder, Views, allocate

CHUNK = 256
"""Images that go through a tower at once."""
IN_MEMORY = 256 * 2**20
"""Bytes of pixels that are kept in memory; larger arrays go to a file."""


class Bank:
    """Views of a set of examples: pixels (V, N, 3, H, W) or features (V, N, d), and labels (N,).

    Pixels may be bytes, which ``normalise`` turns into the backbone's input when a batch is made.
    """

    def __init__(
        self, views: torch.Tensor, labels: torch.Tensor, normalise: Callable[[torch.Tensor], torch.Tensor] | None = None
    ) -> None:
        self.views, self.labels, self.normalise = views, labels, normalise

    def __len__(self) -> int:
        return len(self.labels)

    def all(self) -> Batch:
        """Every example in its first view."""
        rows = torch.arange(len(self), device=self.labels.device)
        return self.batch(rows, torch.zeros_like(rows))

    def batch(self, rows: torch.Tensor, views: torch.Tensor) -> Batch:
        """Examples ``rows`` (B,), each in the view given by ``views`` (B,)."""
        device = self.views.device  # pixels stay on the CPU until they are used
        chosen = self.views[views.to(device), rows.to(device)]
        labels = self.labels[rows.to(self.labels.device)]
        if chosen.ndim == 2:
            return Batch(labels, features=chosen)
        return Batch(labels, pixels=self.normalise(chosen) if self.normalise else chosen)


class FeatureStore:
    """Makes banks; keeps the latest tensors in memory, and features on disk in ``folder``."""

    def __init__(self, folder: Path | None, *, keep: int = 24, threads: int = 1, deferred: bool = False) -> None:
        """``deferred``: features reach the disk with ``commit`` only."""
        self.folder, self.keep, self.deferred = folder, keep, deferred
        self._pending: dict[str, torch.Tensor] = {}
        self._decoder = Decoder(threads)
        self._kept: OrderedDict[str, torch.Tensor] = OrderedDict()

    def training(self, backbone: Backbone, examples: Examples, how: Augmentation, views: int, *, pixels: bool) -> Bank:
        """A bank of ``views`` views; a single view is the plain image, several are all augmented."""
        numbers = tuple(range(1, views + 1)) if views > 1 else (0,)
        source = Views(examples.images, how, numbers)
        labels = torch.tensor(examples.labels, dtype=torch.long, device=backbone.device)
        if pixels:
            return Bank(self._pixels(backbone, source).unflatten(0, (views, -1)), labels, backbone.normalise)
        return Bank(self._features(backbone, source).unflatten(0, (views, -1)).to(backbone.device), labels)

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
            out, _ = allocate((views.count, 3, size, size), self.folder, IN_MEMORY)
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
        while len(self._kept) > self.keep:
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
        if self.folder is None:
            return None
        try:
            with safe_open(self.folder / f"{key}.safetensors", framework="pt") as file:  # type: ignore[no-untyped-call]
                stored: torch.Tensor = file.get_tensor("features")
                sha = (file.metadata() or {}).get("sha256")
        except (OSError, SafetensorError):  # absent, truncated or not ours: compute again
            return None
        valid = stored.shape == (count, width) and stored.dtype == torch.float32 and _sha(stored) == sha
        return stored if valid else None

    def _save(self, key: str, features: torch.Tensor) -> None:
        if self.folder is None:
            return
        temporary = self.folder / f".{key}.{os.getpid()}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            save_file({"features": features.contiguous()}, temporary, {"sha256": _sha(features)})
            os.replace(temporary, self.folder / f"{key}.safetensors")
        except (OSError, SafetensorError):  # a cache that cannot be written only costs time
            with suppress(OSError):
                temporary.unlink()


def _sha(features: torch.Tensor) -> str:
    return hashlib.sha256(features.contiguous().numpy().tobytes()).hexdigest()
