"""Stanford Cars: cars by make, model and year."""

from benchmark.data.coop.layout import Counts, Item, Listing, PhotoDataset
from benchmark.data.coop.splits import hold_out, read_mat


class StanfordCars(PhotoDataset):
    name = "stanford-cars"
    title = "Stanford Cars"
    template = "a photo of a {}."
    licence = "custom: research only (the data set's own page is no longer there)"
    source = "Krause et al. 2013, 3D object representations, formerly https://ai.stanford.edu/~jkrause/cars/car_dataset.html"
    folder = "stanford_cars"
    image_parts = ("cars_train", "cars_test")
    split_file = "split_zhou_StanfordCars.json"
    needs = ("devkit/cars_meta.mat", "devkit/cars_train_annos.mat", "cars_test_annos_withlabels.mat")
    counts = Counts(classes=196, train=6_509, val=1_635, test=8_041)
    size = "1.9 GB"

    def rebuild(self) -> Listing:
        meta, *annotations = (self.root / file for file in self.needs)
        names = [year_first(str(name)) for name in read_mat(meta, "class_names")]
        trainval, test = (
            [
                Item(f"{folder}/{image['fname']}", int(image["class"]) - 1, names[int(image["class"]) - 1])
                for image in read_mat(file, "annotations")
            ]
            for folder, file in zip(self.image_parts, annotations, strict=True)
        )
        return hold_out(trainval, test)


def year_first(name: str) -> str:
    """Turn "Acura RL Sedan 2012" into "2012 Acura RL Sedan"."""
    model, _, year = name.strip().rpartition(" ")
    return f"{year} {model}"
