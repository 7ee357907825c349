"""Oxford-IIIT Pets: breeds of cats and dogs."""

from benchmark.data.coop.layout import Counts, Fetch, Item, Listing, PhotoDataset
from benchmark.data.coop.splits import hold_out, read_lines


class OxfordPets(PhotoDataset):
    name = "oxford-pets"
    title = "Oxford-IIIT Pets"
    template = "a photo of a {}, a type of pet."
    licence = "CC-BY-SA-4.0"
    source = "Parkhi et al. 2012, Cats and dogs, https://www.robots.ox.ac.uk/~vgg/data/pets/"
    folder = "oxford_pets"
    image_folder = "images"
    split_file = "split_zhou_OxfordPets.json"
    needs = ("annotations/trainval.txt", "annotations/test.txt")
    counts = Counts(classes=37, train=2_944, val=736, test=3_669)
    size = "0.8 GB"
    where = "https://www.robots.ox.ac.uk/~vgg/data/pets/"
    fetch = Fetch("OxfordIIITPet", {"oxford-iiit-pet/images": "images", "oxford-iiit-pet/annotations": "annotations"})

    def rebuild(self) -> Listing:
        trainval, test = (read_lines(self.root / file, item) for file in self.needs)
        return hold_out(trainval, test)


def item(line: str) -> Item:
    """Lines are such as "Abyssinian_100 1 1 1": file, label counted from 1, cat or dog, label within these."""
    stem, number, *_ = line.split()
    return Item(f"{stem}.jpg", int(number) - 1, stem.rpartition("_")[0].lower())
