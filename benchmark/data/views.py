"""From image files to pixels: decode, augment and resize, several images at a time.

Pixels stay bytes, as resizing returns them. A backbone normalises them when it needs them, so that backbones with the
same geometry share them without loss.
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

from benchmark.backbones.clip import Backbone
from benchmark.config.errors import UserError
from benchmark.data.dataset import Augmentation, Images

_SAMPLING = threading.Lock()
"""torchvision uses torch's global generator; the draws of a view must not depend on other threads."""


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
        """Pixels uint8 (3, H, W) of one view of one image; index = view * N + image."""
        view, row = self.numbers[index // len(self.images)], index % len(self.images)
        image = self.images[row].convert("RGB")
        if view:
            seed = hashlib.sha256(f"{self._digest} {row} {view}".encode()).hexdigest()[:12]
            image = augment(image, self.augmentation, int(seed, 16), backbone.image_size)
        return backbone.frame(image)


def augment(image: Image.Image, how: Augmentation, seed: int, size: int) -> Image.Image:
    """A rotation, a random resized crop and a horizontal flip, as far as ``how`` allows, drawn from ``seed``."""
    from torchvision import transforms  # slow to import
    from torchvision.transforms import functional

    with _drawing(seed):
        angle = float(torch.empty(1).uniform_(-how.rotate, how.rotate)) if how.rotate else 0.0
        box = None
        if how.crop:
            box = transforms.RandomResizedCrop.get_params(image, list(how.crop), [3 / 4, 4 / 3])  # type: ignore[arg-type]
        mirrored = how.flip and bool(torch.rand(1) < 0.5)
    if angle:
        image = functional.rotate(image, angle, transforms.InterpolationMode.BILINEAR, fill=[255, 255, 255])
    if box:
        image = functional.resized_crop(image, *box, [size, size], transforms.InterpolationMode.BICUBIC)
    return functional.hflip(image) if mirrored else image


@contextmanager
def _drawing(seed: int) -> Iterator[None]:
    """Seed torch's generator on the CPU for a while; afterwards its state is as before. (``torch.manual_seed`` would also
    record the call for GPUs that are not in use, at a hundred times the cost.)"""
    with _SAMPLING:
        before = torch.default_generator.get_state()
        torch.default_generator.manual_seed(seed)
        try:
            yield
        finally:
            torch.default_generator.set_state(before)


class Decoder:
    """Makes pixels in several threads; Pillow decodes and resizes without holding the GIL."""

    def __init__(self, threads: int = 1) -> None:
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None

    def fill(self, views: Views, backbone: Backbone, out: torch.Tensor) -> None:
        """Put all pixels into ``out``: uint8 (V * N, 3, H, W)."""

        def fill_row(index: int) -> None:
            out[index] = views.make(index, backbone)

        for _ in self._pool.map(fill_row, range(views.count)) if self._pool else map(fill_row, range(views.count)):
            pass

    def chunks(self, views: Views, backbone: Backbone, size: int) -> Iterator[torch.Tensor]:
        """The pixels in order, ``size`` at a time; while one chunk is in use, the next is being made."""
        starts = range(0, views.count, size)

        def begin(start: int) -> Callable[[], list[torch.Tensor]]:
            indices = range(start, min(start + size, views.count))
            if self._pool is None:
                return lambda: [views.make(index, backbone) for index in indices]
            futures = [self._pool.submit(views.make, index, backbone) for index in indices]
            return lambda: [future.result() for future in futures]

        upcoming = begin(0) if views.count else None
        for start in starts:
            assert upcoming is not None
            current = upcoming
            upcoming = begin(start + size) if start + size < views.count else None
            yield torch.stack(current())


def allocate(shape: tuple[int, ...], folder: Path | None, largest: int) -> tuple[torch.Tensor, bool]:
    """An uninitialised uint8 tensor of ``shape``: in memory up to ``largest`` bytes, else in an unnamed file in
    ``folder`` that the operating system removes with the process. Returns the tensor and whether it is a file.

    Raises:
        UserError: the disk is full.
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
