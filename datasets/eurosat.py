"""EuroSAT: land use seen from the Sentinel-2 satellite."""

from benchmark.data.coop.layout import Counts, Fetch, Listing, PhotoDataset
from benchmark.data.coop.splits import split_folders

RENAMED = {
    "AnnualCrop": "Annual Crop Land",
    "HerbaceousVegetation": "Herbaceous Vegetation Land",
    "Highway": "Highway or Road",
    "Industrial": "Industrial Buildings",
    "Pasture": "Pasture Land",
    "PermanentCrop": "Permanent Crop Land",
    "Residential": "Residential Buildings",
    "SeaLake": "Sea or Lake",
}


class EuroSAT(PhotoDataset):
    name = "eurosat"
    title = "EuroSAT"
    template = "a centered satellite photo of {}."
    licence = "MIT"
    source = "Helber et al. 2019, EuroSAT, https://github.com/phelber/EuroSAT"
    folder = "eurosat"
    image_folder = "2750"
    split_file = "split_zhou_EuroSAT.json"
    counts = Counts(classes=10, train=13_500, val=5_400, test=8_100)
    size = "0.1 GB"
    where = "https://github.com/phelber/EuroSAT"
    fetch = Fetch("EuroSAT", {"eurosat/2750": "2750"})

    def rebuild(self) -> Listing:
        return split_folders(self.images, renamed=RENAMED)
