"""Pixels and image features of examples, computed once: plain for testing, a bank of augmented views for training.

Features are kept on disk, keyed by backbone, preprocessing and images, so that many cells share them.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torchvision import transforms

from benchmark.backbone import Backbone
from benchmark.dataset import Augmentation, Examples
from benchmark.method import Batch

CHUNK = 256
"""Images that go through a tower at once."""


class Bank:
    """Views of a set of examples: pixels (V, N, 3, H, W) or features (V, N, d), and labels (N,)."""

    def __init__(self, views: torch.Tensor, labels: torch.Tensor, *, pixels: bool) -> None:
        self.views, self.labels, self.pixels = views, labels, pixels

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, rows: torch.Tensor, views: torch.Tensor) -> Batch:
        """Examples ``rows`` (B,), each in the view given by ``views`` (B,)."""
        chosen = self.views[views, rows]
        if self.pixels:
            return Batch(self.labels[rows], pixels=chosen)
        return Batch(self.labels[rows], features=chosen)


class FeatureStore:
    """Makes banks; keeps the last ones in memory and features on disk under ``folder``."""

    def __init__(self, folder: Path | None, *, keep: int = 24) -> None:
        self.folder, self.keep = folder, keep
        self._memory: OrderedDict[str, torch.Tensor] = OrderedDict()

    def training(self, backbone: Backbone, examples: Examples, how: Augmentation, views: int, *, pixels: bool) -> Bank:
        """A bank of ``views`` views; one view is the plain image, more are all augmented."""
        numbers = range(1, views + 1) if views > 1 else range(1)
        stacked = torch.stack([self._view(backbone, examples, how, number, pixels=pixels) for number in numbers])
        return Bank(stacked.to(backbone.device), self._labels(backbone, examples), pixels=pixels)

    def testing(self, backbone: Backbone, examples: Examples, *, pixels: bool) -> Bank:
        """A bank of the plain images."""
        return self.training(backbone, examples, Augmentation(), 1, pixels=pixels)

    def _labels(self, backbone: Backbone, examples: Examples) -> torch.Tensor:
        return torch.tensor(examples.labels, dtype=torch.long, device=backbone.device)

    def _view(self, backbone: Backbone, examples: Examples, how: Augmentation, view: int, *, pixels: bool) -> torch.Tensor:
        content = [examples.images.digest, backbone.preprocess_key, view, how if view else None]
        if not pixels:
            content.append(backbone.digest)
        key = hashlib.sha256(repr(content).encode()).hexdigest()[:32]
        if key in self._memory:
            self._memory.move_to_end(key)
            return self._memory[key]
        if pixels:
            made = self._make_pixels(backbone, examples, how, view)
        else:
            made = self._stored_or_encoded(key, backbone, examples, how, view)
        self._memory[key] = made
        while len(self._memory) > self.keep:
            self._memory.popitem(last=False)
        return made

    def _stored_or_encoded(
        self, key: str, backbone: Backbone, examples: Examples, how: Augmentation, view: int
    ) -> torch.Tensor:
        stored = self._load(key, len(examples), backbone.embed_dim)
        if stored is not None:
            return stored
        made = self._encode(backbone, self._view(backbone, examples, how, view, pixels=True))
        self._save(key, made)
        return made

    def _make_pixels(self, backbone: Backbone, examples: Examples, how: Augmentation, view: int) -> torch.Tensor:
        change = _transform(how, backbone.image_size) if view else None
        seed = int(hashlib.sha256(f"{examples.images.digest} {view}".encode()).hexdigest()[:12], 16)
        pictures = []
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            for index in range(len(examples)):
                image = examples.images[index]
                pictures.append(backbone.preprocess(change(image) if change else image))
        return torch.stack(pictures)

    @staticmethod
    def _encode(backbone: Backbone, pixels: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            parts = [backbone.encode_image(part.to(backbone.device)).float().cpu() for part in pixels.split(CHUNK)]
        return torch.cat(parts)

    def _load(self, key: str, count: int, width: int) -> torch.Tensor | None:
        if self.folder is None:
            return None
        try:
            stored = np.load(self.folder / f"{key}.npy", allow_pickle=False)
        except (OSError, ValueError, EOFError):  # absent, torn or foreign: compute again
            return None
        if stored.shape != (count, width) or stored.dtype != np.float32 or not np.isfinite(stored).all():
            return None
        return torch.from_numpy(stored)

    def _save(self, key: str, features: torch.Tensor) -> None:
        if self.folder is None:
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self.folder, suffix=".tmp", delete=False) as temporary:
                np.save(temporary, features.numpy(), allow_pickle=False)
            os.replace(temporary.name, self.folder / f"{key}.npy")
        except OSError:  # a cache that cannot be written only costs time
            return


def _transform(how: Augmentation, size: int) -> transforms.Compose:
    steps: list[object] = []
    if how.rotate:
        fill = (255, 255, 255)
        steps.append(transforms.RandomRotation(how.rotate, transforms.InterpolationMode.BILINEAR, fill=fill))
    if how.crop:
        steps.append(transforms.RandomResizedCrop(size, scale=how.crop, interpolation=transforms.InterpolationMode.BICUBIC))
    if how.flip:
        steps.append(transforms.RandomHorizontalFlip())
    return transforms.Compose([_rgb, *steps])


def _rgb(image: Image.Image) -> Image.Image:
    return image.convert("RGB")
