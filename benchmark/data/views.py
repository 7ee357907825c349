"""From image files to pixels: decode, augment and resize, several images at a time.

Pixels stay bytes, as resizing returns them. A backbone normalises them when it needs them, so that backbones with the
same geometry share them without loss.
"""

from __future__ import annotations

import hashlib
import math
import os
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmark.backbones.clip import Backbone
from benchmark.config.errors import UserError
from benchmark.data.dataset import Augmentation, Images

AHEAD = 2
"""Batches that are made before they are asked for."""
ROOM = 2 * 2**30
"""Bytes of decoded images that are kept for a training."""
PIXEL = 4
"""Bytes that Pillow takes for one in RGB."""


class Decoded:
    """Images that are decoded once and kept for the epochs that follow, up to ``room`` bytes; the others are decoded each
    time. Decoding a photograph takes several times as long as a crop of it."""

    def __init__(self, images: Images, room: int = ROOM) -> None:
        self.images, self.room = images, room
        self._kept: dict[int, Image.Image] = {}

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Image.Image:
        image = self._kept.get(index)
        if image is None:
            image = self.images[index].convert("RGB")
            size = PIXEL * image.width * image.height
            if size <= self.room:
                self.room -= size  # two threads may both take it off, which wastes some room
                self._kept[index] = image
        return image

    def pick(self, rows: tuple[int, ...]) -> Images:
        return self.images.pick(rows)

    @property
    def digest(self) -> str:
        return self.images.digest


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
        view, row = divmod(index, len(self.images))
        return self.draw(row, self.numbers[view], backbone)

    def draw(self, row: int, view: int, backbone: Backbone) -> torch.Tensor:
        """Pixels uint8 (3, H, W) of an image in the view of a number, which need not be one of ``numbers``."""
        image = self.images[row].convert("RGB")
        if view:
            seed = hashlib.sha256(f"{self._digest} {row} {view}".encode()).hexdigest()[:12]
            image = augment(image, self.augmentation, int(seed, 16), backbone.image_size)
        return backbone.frame(image)


def augment(image: Image.Image, how: Augmentation, seed: int, size: int) -> Image.Image:
    """A rotation, a random resized crop and a horizontal flip, as far as ``how`` allows, drawn from ``seed``."""
    from torchvision import transforms  # slow to import
    from torchvision.transforms import functional

    drawn = torch.Generator().manual_seed(seed)
    angle = _uniform(-how.rotate, how.rotate, drawn) if how.rotate else 0.0
    box = crop_box(*image.size, how.crop, drawn) if how.crop else None
    mirrored = how.flip and bool(torch.rand(1, generator=drawn) < 0.5)
    if angle:
        image = functional.rotate(image, angle, transforms.InterpolationMode.BILINEAR, fill=[255, 255, 255])
    if box:
        image = functional.resized_crop(image, *box, [size, size], transforms.InterpolationMode.BICUBIC)
    return functional.hflip(image) if mirrored else image


def crop_box(width: int, height: int, share: tuple[float, float], drawn: torch.Generator) -> tuple[int, int, int, int]:
    """(top, left, height, width) of a random crop that keeps a share of the area in the given range, with an aspect ratio of
    3/4 to 4/3. The draws are those of torchvision's ``RandomResizedCrop``, which only takes torch's global generator: that
    one belongs to the thread that trains."""
    shortest, longest = torch.log(torch.tensor([3 / 4, 4 / 3])).tolist()
    for _ in range(10):
        area = width * height * _uniform(*share, drawn)
        aspect = float(torch.exp(torch.empty(1).uniform_(shortest, longest, generator=drawn)))
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            top = int(torch.randint(0, height - h + 1, (1,), generator=drawn))
            return top, int(torch.randint(0, width - w + 1, (1,), generator=drawn)), h, w
    w = min(width, round(height * 4 / 3))  # none fits: the largest central one
    h = min(height, round(width / (3 / 4)))
    return (height - h) // 2, (width - w) // 2, h, w


def _uniform(low: float, high: float, drawn: torch.Generator) -> float:
    return float(torch.empty(1).uniform_(low, high, generator=drawn))


class Decoder:
    """Makes pixels in background threads; Pillow decodes and resizes without holding the GIL."""

    def __init__(self, threads: int = 1) -> None:
        self._pool = ThreadPoolExecutor(threads)

    def fill(self, views: Views, backbone: Backbone, out: torch.Tensor) -> None:
        """Put all pixels into ``out``: uint8 (V * N, 3, H, W)."""

        def fill_row(index: int) -> None:
            out[index] = views.make(index, backbone)

        for _ in self._pool.map(fill_row, range(views.count)):
            pass

    def chunks(self, views: Views, backbone: Backbone, size: int) -> Iterator[torch.Tensor]:
        """The pixels in order, ``size`` at a time."""
        every = [(row, number) for number in views.numbers for row in range(len(views.images))]
        return self.batches(views, backbone, (every[start : start + size] for start in range(0, len(every), size)))

    def batches(
        self, views: Views, backbone: Backbone, wanted: Iterable[Sequence[tuple[int, int]]]
    ) -> Iterator[torch.Tensor]:
        """Pixels uint8 (B, 3, H, W) of the images and view numbers of each batch; while one is in use, the next are being
        made."""
        coming = iter(wanted)
        begun: deque[list[Future[torch.Tensor]]] = deque()

        def begin() -> None:
            batch = next(coming, None)
            if batch is not None:
                begun.append([self._pool.submit(views.draw, row, number, backbone) for row, number in batch])

        for _ in range(AHEAD):
            begin()
        while begun:
            current = [future.result() for future in begun.popleft()]
            begin()
            yield torch.stack(current)


def scratch(otherwise: Path) -> Path:
    """A folder for large files that only this process reads: where the system says so (``TMPDIR``), which is a disk of the
    machine itself on clusters, while other folders may be on a network."""
    return Path(os.environ.get("TMPDIR") or otherwise)


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
        raise UserError(
            f"no room for {need} in {folder}: {error.strerror}", fix="free some, or name another folder in TMPDIR"
        ) from None
    return torch.from_numpy(mapped), True
