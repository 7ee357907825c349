"""SUN397: indoor and outdoor scenes."""

from benchmark.data.coop.layout import Counts, Fetch, Item, Listing, PhotoDataset
from benchmark.data.coop.splits import hold_out, read_lines


class SUN397(PhotoDataset):
    name = "sun397"
    title = "SUN397"
    template = "a photo of a {}."
    licence = "not clearly stated; research use (photographs from the web)"
    source = "Xiao et al. 2010, SUN database, https://vision.princeton.edu/projects/2010/SUN/"
    folder = "sun397"
    image_folder = "SUN397"
    split_file = "split_zhou_SUN397.json"
    needs = ("ClassName.txt", "Training_01.txt", "Testing_01.txt")
    counts = Counts(classes=397, train=15_880, val=3_970, test=19_850)
    size = "39 GB"
    where = "https://vision.princeton.edu/projects/2010/SUN/"
    # The lists of the partitions are a separate download, which torchvision omits.
    fetch = Fetch("SUN397", {"SUN397/ClassName.txt": "ClassName.txt", "SUN397": "SUN397"})

    def rebuild(self) -> Listing:
        names, *lists = (self.root / file for file in self.needs)
        labels = {folder: label for label, folder in enumerate(read_lines(names, str))}

        def item(line: str) -> Item:
            """Lines are such as "/a/apartment_building/outdoor/sun_x.jpg"; the class is "outdoor apartment_building"."""
            folder = line.rpartition("/")[0]
            parts = folder.split("/")[2:]  # without the first letter
            return Item(line.removeprefix("/"), labels[folder], " ".join(reversed(parts)))

        trainval, test = (read_lines(file, item) for file in lists)
        return hold_out(trainval, test)
