"""From image files to pixels: decode, augment and resize, several images at a time.

Pixels are kept as bytes, as they leave the resizing: a backbone normalises them when it needs them, so that backbones
with the same geometry share them and nothing is lost.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torchvision import transforms
from torchvision.transforms import functional as change

from benchmark.backbones.clip import Backbone
from benchmark.config.errors import UserError
from benchmark.data.dataset import Augmentation, Images

_SAMPLING = threading.Lock()
"""torchvision draws from torch's one generator; a view's draws must not depend on what other threads do."""


@dataclass(frozen=True)
class Views:
    """Augmented or plain views of images in a backbone's geometry. View 0 is plain, all others are augmented."""

    images: Images
    augmentation: Augmentation
    numbers: tuple[int, ...]

    @cached_property
    def _digest(self) -> str:
        return self.images.digest

    @property
    def count(self) -> int:
        return len(self.images) * len(self.numbers)

    def key(self, backbone: Backbone) -> str:
        """What the pixels depend on."""
        how = self.augmentation if any(self.numbers) else None
        content = [self._digest, backbone.geometry_key, self.numbers, how]
        return hashlib.sha256(repr(content).encode()).hexdigest()[:32]

    def make(self, index: int, backbone: Backbone) -> torch.Tensor:
        """Pixels uint8 (3, H, W) of one view of one image; views come one after the other."""
        view, row = self.numbers[index // len(self.images)], index % len(self.images)
        image = self.images[row].convert("RGB")
        if view:
            seed = hashlib.sha256(f"{self._digest} {row} {view}".encode()).hexdigest()[:12]
            image = augment(image, self.augmentation, int(seed, 16), backbone.image_size)
        return backbone.frame(image)


def augment(image: Image.Image, how: Augmentation, seed: int, size: int) -> Image.Image:
    """A rotation, a random resized crop and a mirroring, as far as ``how`` allows, drawn from ``seed``."""
    with _drawing(seed):
        angle = float(torch.empty(1).uniform_(-how.rotate, how.rotate)) if how.rotate else 0.0
        box = None
        if how.crop:
            box = transforms.RandomResizedCrop.get_params(image, list(how.crop), [3 / 4, 4 / 3])  # type: ignore[arg-type]
        mirrored = how.flip and bool(torch.rand(1) < 0.5)
    if angle:
        image = change.rotate(image, angle, transforms.InterpolationMode.BILINEAR, fill=[255, 255, 255])
    if box:
        image = change.resized_crop(image, *box, [size, size], transforms.InterpolationMode.BICUBIC)
    return change.hflip(image) if mirrored else image


@contextmanager
def _drawing(seed: int) -> Iterator[None]:
    """Let torch's generator on the CPU draw from ``seed``; afterwards it is as before. (``torch.manual_seed`` would also
    note down the call for GPUs that are not in use, at a hundred times the cost.)"""
    with _SAMPLING:
        before = torch.default_generator.get_state()
        torch.default_generator.manual_seed(seed)
        try:
            yield
        finally:
            torch.default_generator.set_state(before)


class Decoder:
    """Makes pixels with a number of threads; Pillow decodes and resizes without holding Python's lock."""

    def __init__(self, threads: int = 1) -> None:
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None

    def fill(self, views: Views, backbone: Backbone, out: torch.Tensor) -> None:
        """Put all pixels into ``out``: uint8 (V * N, 3, H, W)."""

        def one(index: int) -> None:
            out[index] = views.make(index, backbone)

        for _ in self._pool.map(one, range(views.count)) if self._pool else map(one, range(views.count)):
            pass

    def chunks(self, views: Views, backbone: Backbone, size: int) -> Iterator[torch.Tensor]:
        """The pixels in order, ``size`` at a time; while one chunk is being used the next is made."""
        starts = range(0, views.count, size)

        def begin(start: int) -> Callable[[], list[torch.Tensor]]:
            indices = range(start, min(start + size, views.count))
            if self._pool is None:
                return lambda: [views.make(index, backbone) for index in indices]
            futures = [self._pool.submit(views.make, index, backbone) for index in indices]
            return lambda: [future.result() for future in futures]

        coming = begin(0) if views.count else None
        for start in starts:
            assert coming is not None
            ready = coming
            coming = begin(start + size) if start + size < views.count else None
            yield torch.stack(ready())


def allocate(shape: tuple[int, ...], folder: Path | None, largest: int) -> tuple[torch.Tensor, bool]:
    """Room for bytes of ``shape``: in memory up to ``largest`` bytes, else in a nameless file below ``folder`` that
    vanishes with the process. Returns the tensor and whether it is a file.

    Raises:
        UserError: the disk has no room.
    """
    size = int(np.prod(shape))
    if size <= largest or folder is None:
        return torch.empty(shape, dtype=torch.uint8), False
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)  # a full disk must be an error now, not a crash later
            else:
                file.truncate(size)
            mapped = np.memmap(file, dtype=np.uint8, mode="r+", shape=shape)
    except OSError as error:
        need = f"{size / 1e9:.1f} GB for decoded images"
        raise UserError(f"no room for {need} in {folder}: {error.strerror}", fix="free some disk space") from None
    return torch.from_numpy(mapped), True
