"""Handwritten digits, as scikit-learn ships them."""

import numpy as np
from PIL import Image

from benchmark.data import Augmentation, Dataset, Splits
from benchmark.data.icons.render import fit
from benchmark.data.icons.splits import Pool, split


class Digits(Dataset):
    name = "digits"
    title = "Handwritten digits"
    template = "an icon of the number {}"
    context_words = "an icon of number"
    licence = "CC-BY-4.0"
    source = "Optical Recognition of Handwritten Digits, UCI repository, 8 x 8 pixels, from scikit-learn"
    shows_images = True
    shots = 16
    augmentation = Augmentation(crop=(0.8, 1.0), flip=False, rotate=8)

    def load(self) -> Splits:
        from sklearn.datasets import load_digits  # slow to import

        digits = load_digits()
        grey = (digits.images * (255 / 16)).astype(np.uint8)
        large = [Image.fromarray(picture).resize((64, 64), Image.Resampling.BICUBIC) for picture in grey]
        ink = np.stack([fit(picture) for picture in large])
        names = tuple(f"digit {row}" for row in range(len(ink)))
        pool = Pool(ink, tuple(map(int, digits.target)), names, names)
        return split(pool, [str(digit) for digit in range(10)], train=40, val=8, test=25, threshold=0.995)
