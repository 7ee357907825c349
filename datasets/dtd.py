"""Describable Textures: textures, labelled by the adjectives that people use for them."""

from benchmark.data.coop.layout import Counts, Fetch, Listing, PhotoDataset
from benchmark.data.coop.splits import split_folders


class DescribableTextures(PhotoDataset):
    name = "dtd"
    title = "Describable Textures"
    template = "{} texture."
    licence = "custom: research use"
    source = "Cimpoi et al. 2014, Describing textures in the wild, https://www.robots.ox.ac.uk/~vgg/data/dtd/"
    folder = "dtd"
    image_folder = "images"
    split_file = "split_zhou_DescribableTextures.json"
    counts = Counts(classes=47, train=2_820, val=1_128, test=1_692)
    size = "0.6 GB"
    where = "https://www.robots.ox.ac.uk/~vgg/data/dtd/"
    fetch = Fetch("DTD", {"dtd/dtd/images": "images"})

    def rebuild(self) -> Listing:
        return split_folders(self.images)
