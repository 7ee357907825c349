"""The data set contract: what a file in ``datasets/`` imports."""

from benchmark.data.dataset import ArrayImages, Augmentation, Dataset, Examples, Images, Splits, Subset, TestSet

__all__ = ["ArrayImages", "Augmentation", "Dataset", "Examples", "Images", "Splits", "Subset", "TestSet"]
