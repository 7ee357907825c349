"""Food-101: dishes; the training images are noisy, as collected from the web."""

from benchmark.data.coop.layout import Counts, Fetch, Listing, PhotoDataset
from benchmark.data.coop.splits import split_folders


class Food101(PhotoDataset):
    name = "food101"
    title = "Food-101"
    template = "a photo of {}, a type of food."
    licence = "custom: scientific fair use (photographs from Foodspotting)"
    source = "Bossard et al. 2014, Food-101, https://data.vision.ee.ethz.ch/cvl/datasets_extra/food-101/"
    folder = "food-101"
    image_folder = "images"
    split_file = "split_zhou_Food101.json"
    counts = Counts(classes=101, train=50_500, val=20_200, test=30_300)
    size = "5 GB"
    where = "https://data.vision.ee.ethz.ch/cvl/datasets_extra/food-101/"
    fetch = Fetch("Food101", {"food-101/images": "images", "food-101/meta": "meta"})

    def rebuild(self) -> Listing:
        return split_folders(self.images)
