"""Common objects drawn by other hands: filled Remix icons."""

from benchmark.data import Dataset
from benchmark.data.icons.splits import objects_pool, variant


class IconObjectsRemix(Dataset):
    name = "icon-objects-remix"
    title = "Objects, other family"
    template = "an icon of a {}"
    context_words = "an icon of a"
    licence = "Apache-2.0"
    source = "Remix Icon 2.5, https://remixicon.com (fill style)"
    variant_of = "icon-objects"

    def load(self):
        return variant(objects_pool("remix", ("fill",)))
