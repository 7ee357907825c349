"""Common objects: the "ImageNet" of the icon world."""

from benchmark.data import Augmentation, Splits
from benchmark.data.icons.dataset import IconDataset
from benchmark.data.icons.splits import objects


class IconObjects(IconDataset):
    name = "icon-objects"
    title = "Common objects"
    template = "an icon of a {}"
    context_words = "an icon of a"
    licence = "MIT"
    source = "Tabler Icons, https://tabler.io/icons (outline style)"
    families = ("tabler",)
    shots = 8
    augmentation = Augmentation(crop=(0.7, 1.0), flip=False, rotate=8)

    def load(self) -> Splits:
        return objects()
