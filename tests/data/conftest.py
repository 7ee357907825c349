"""Fixtures of the tests of data."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from benchmark.data.coop.files import ImageFiles
from benchmark.data.dataset import Examples


@pytest.fixture
def photos(tmp_path) -> Examples:
    """Thirteen image files of several sizes and kinds."""
    paths = []
    for number in range(13):
        pixels = np.random.default_rng(number).integers(0, 256, (30 + 3 * number, 90 - 5 * number, 3), dtype=np.uint8)
        image = Image.fromarray(pixels)
        paths.append(f"{number}.{('png', 'jpg', 'bmp')[number % 3]}")
        (image.convert("L") if number % 4 == 1 else image).save(tmp_path / paths[-1])
    return Examples(ImageFiles(tmp_path, paths), tuple(range(13)))
