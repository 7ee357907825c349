"""ImageNet: 1,000 classes; its validation images are the test images."""

from benchmark.data.coop.imagenet import ImageNetDataset
from benchmark.data.coop.layout import Counts


class ImageNet(ImageNetDataset):
    name = "imagenet"
    title = "ImageNet"
    template = "a photo of a {}."
    licence = "custom: non-commercial research and education"
    source = "Russakovsky et al. 2015, ImageNet Large Scale Visual Recognition Challenge, https://image-net.org"
    folder = "imagenet"
    image_folder = "images"
    image_parts = ("train", "val")
    train_folder = "train"
    test_folder = "val"
    counts = Counts(classes=1000, train=1_281_167, val=None, test=50_000)
    size = "145 GB"
    where = "https://image-net.org/download-images"
