"""Oxford Flowers: flowers that are common in the United Kingdom."""

import json

from benchmark.config.errors import UserError
from benchmark.data.coop.layout import Counts, Fetch, Item, Listing, PhotoDataset
from benchmark.data.coop.splits import read_mat, split_classes

NAMES = "cat_to_name.json"
RENAMED = {"pink-yellow dahlia?": "pink-yellow dahlia", "lotus": "lotus lotus"}
"""Where torchvision's names differ from those that CoOp uses."""


class OxfordFlowers(PhotoDataset):
    name = "oxford-flowers"
    title = "Oxford Flowers 102"
    template = "a photo of a {}, a type of flower."
    licence = "not stated (photographs from the web, copyright with their owners)"
    source = (
        "Nilsback and Zisserman 2008, Automated flower classification, https://www.robots.ox.ac.uk/~vgg/data/flowers/102/"
    )
    folder = "oxford_flowers"
    image_folder = "jpg"
    split_file = "split_zhou_OxfordFlowers.json"
    needs = ("imagelabels.mat",)
    counts = Counts(classes=102, train=4_093, val=1_633, test=2_463)
    size = "0.35 GB"
    where = "https://www.robots.ox.ac.uk/~vgg/data/flowers/102/"
    fetch = Fetch("Flowers102", {"flowers-102/jpg": "jpg", "flowers-102/imagelabels.mat": "imagelabels.mat"})

    def rebuild(self) -> Listing:
        names = self.names()
        labels = read_mat(self.root / "imagelabels.mat", "labels")  # counted from 1, as the images are
        absent = sorted({int(label) for label in labels} - names.keys())
        if absent:
            raise UserError(f"no name for class {absent[0]}", where=str(self.root / NAMES), fix="get this file again")
        return split_classes(
            Item(f"image_{number:05d}.jpg", int(label) - 1, names[int(label)])
            for number, label in enumerate(labels, start=1)
        )

    def names(self) -> dict[int, str]:
        """Class names by label, counted from 1."""
        file = self.root / NAMES
        if file.is_file():
            try:
                return {int(label): str(name) for label, name in json.loads(file.read_text(encoding="utf-8")).items()}
            except (OSError, ValueError, AttributeError) as error:
                raise UserError(f"not a file of names: {error}", where=str(file), fix="get this file again") from None
        from torchvision.datasets import Flowers102  # slow to import

        classes = getattr(Flowers102, "classes", None)
        if classes is None:  # old versions of torchvision do not have them
            raise UserError("no names for the classes", where=str(file), fix="get this file, or a newer torchvision")
        return {label: RENAMED.get(name, name) for label, name in enumerate(classes, start=1)}
