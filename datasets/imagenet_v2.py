"""ImageNet-V2: new images, collected in the same way as ImageNet (matched frequency)."""

from benchmark.config.errors import UserError
from benchmark.data.coop.files import list_folders
from benchmark.data.coop.imagenet import ImageNetDataset, read_classnames
from benchmark.data.coop.layout import Counts
from benchmark.data.prompt_texts import IMAGENET_CLASSNAMES


class ImageNetV2(ImageNetDataset):
    name = "imagenet-v2"
    title = "ImageNet-V2"
    template = "a photo of a {}."
    licence = "MIT (as published; photographs from Flickr)"
    source = "Recht et al. 2019, Do ImageNet classifiers generalize to ImageNet?, https://arxiv.org/abs/1902.10811"
    shift_of = "imagenet"
    folder = "imagenetv2"
    image_folder = "imagenetv2-matched-frequency-format-val"
    counts = Counts(classes=1000, train=None, val=None, test=10_000)
    size = "1.3 GB"
    where = "https://github.com/modestyachts/ImageNetV2"

    def class_names(self) -> dict[str, str]:
        # Folders are numbers: lines of classnames.txt, counted from 0.
        file = self.names_file()
        names = list(read_classnames(file).values()) if file else IMAGENET_CLASSNAMES
        if set(list_folders(self.images)) != {str(number) for number in range(len(names))}:
            fix = "unpack the data set again"
            raise UserError(f"folders must be named 0 to {len(names) - 1}", where=str(self.images), fix=fix)
        return {str(number): name for number, name in enumerate(names)}
