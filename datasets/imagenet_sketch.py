"""ImageNet-Sketch: sketches of ImageNet's classes."""

from benchmark.data.coop.imagenet import ImageNetDataset
from benchmark.data.coop.layout import Counts


class ImageNetSketch(ImageNetDataset):
    name = "imagenet-sketch"
    title = "ImageNet-Sketch"
    template = "a photo of a {}."
    licence = "MIT (as published; pictures from image search, copyright with their owners)"
    source = "Wang et al. 2019, Learning robust global representations, https://arxiv.org/abs/1905.13549"
    shift_of = "imagenet"
    folder = "imagenet-sketch"
    image_folder = "images"
    counts = Counts(classes=1000, train=None, val=None, test=50_889)
    size = "7 GB"
    where = "https://github.com/HaohanWang/ImageNet-Sketch"
