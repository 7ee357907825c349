"""FGVC-Aircraft: aircraft by model variant, with the official split."""

from benchmark.data.coop.layout import Counts, Fetch, Item, Listing, PhotoDataset
from benchmark.data.coop.splits import read_lines

LISTS = ("images_variant_train.txt", "images_variant_val.txt", "images_variant_test.txt")
NAMES = "variants.txt"
MOVES = {f"fgvc-aircraft-2013b/data/{path}": path for path in ("images", NAMES, *LISTS)}


class FGVCAircraft(PhotoDataset):
    name = "fgvc-aircraft"
    title = "FGVC-Aircraft"
    template = "a photo of a {}, a type of aircraft."
    licence = "custom: non-commercial research"
    source = "Maji et al. 2013, Fine-grained visual classification of aircraft, https://arxiv.org/abs/1306.5151"
    folder = "fgvc_aircraft"
    image_folder = "images"
    needs = (NAMES, *LISTS)
    counts = Counts(classes=100, train=3_334, val=3_333, test=3_333)
    size = "2.8 GB"
    where = "https://www.robots.ox.ac.uk/~vgg/data/fgvc-aircraft/"
    fetch = Fetch("FGVCAircraft", MOVES)

    def rebuild(self) -> Listing:
        labels = {name: label for label, name in enumerate(read_lines(self.root / NAMES, str))}

        def item(line: str) -> Item:
            """Lines are such as "1025794 707-320"."""
            number, variant = line.split(maxsplit=1)
            return Item(f"{number}.jpg", labels[variant], variant)

        train, val, test = (read_lines(self.root / file, item) for file in LISTS)
        return Listing(train, val, test, note="official lists")
