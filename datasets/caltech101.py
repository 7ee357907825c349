"""Caltech 101: a hundred kinds of objects, without the clutter class and the cropped faces."""

from benchmark.data.coop.layout import Counts, Fetch, Listing, PhotoDataset
from benchmark.data.coop.splits import split_folders

IGNORED = ("BACKGROUND_Google", "Faces_easy")
RENAMED = {"airplanes": "airplane", "Faces": "face", "Leopards": "leopard", "Motorbikes": "motorbike"}


class Caltech101(PhotoDataset):
    name = "caltech101"
    title = "Caltech 101"
    template = "a photo of a {}."
    licence = "CC-BY-4.0"
    source = "Fei-Fei et al. 2004, Learning generative visual models, https://data.caltech.edu/records/mzrjq-6wc02"
    folder = "caltech-101"
    image_folder = "101_ObjectCategories"
    split_file = "split_zhou_Caltech101.json"
    counts = Counts(classes=100, train=4_128, val=1_649, test=2_465)
    size = "0.14 GB"
    where = "https://data.caltech.edu/records/mzrjq-6wc02"
    fetch = Fetch("Caltech101", {"caltech101/101_ObjectCategories": "101_ObjectCategories"})

    def rebuild(self) -> Listing:
        return split_folders(self.images, ignored=IGNORED, renamed=RENAMED)
