"""Letters of the alphabet, both cases, across the fonts that matplotlib ships."""

import string
from pathlib import Path

import numpy as np

from benchmark.data import Augmentation, Dataset, Splits
from benchmark.data.icons.render import fit, text_ink
from benchmark.data.icons.splits import Pool, split

FONTS = {
    "DejaVuSans": ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSans-BoldOblique"),
    "DejaVuSerif": ("DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSerif-Italic", "DejaVuSerif-BoldItalic"),
    "DejaVuSansMono": ("DejaVuSansMono", "DejaVuSansMono-Bold", "DejaVuSansMono-Oblique"),
    "STIX": ("STIXGeneral", "STIXGeneralBol", "STIXGeneralItalic", "STIXGeneralBolIta"),
    "Computer Modern": ("cmr10", "cmb10", "cmss10", "cmtt10", "cmmi10"),
}


class Letters(Dataset):
    name = "letters"
    title = "Letters across fonts"
    template = "an icon of the letter {}"
    context_words = "an icon of letter"
    licence = "Bitstream Vera and Arev (DejaVu), OFL-1.1 (STIX), public domain (Computer Modern)"
    source = "Fonts that come with matplotlib"
    shows_images = True
    shots = 8
    augmentation = Augmentation(crop=(0.8, 1.0), flip=False, rotate=8)

    def load(self) -> Splits:
        import matplotlib  # slow to import

        folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
        drawn = [
            (label, case, font)
            for label, lower in enumerate(string.ascii_lowercase)
            for case in (lower, lower.upper())
            for fonts in FONTS.values()
            for font in fonts
        ]
        ink = np.stack([fit(text_ink(folder / f"{font}.ttf", case)) for _, case, font in drawn])
        names = tuple(f"{font} {case}" for _, case, font in drawn)
        pool = Pool(ink, tuple(label for label, _, _ in drawn), names, names)
        return split(pool, list(string.ascii_lowercase), train=8, val=4, test=8, threshold=0.99)
