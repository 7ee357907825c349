"""Common objects by other designers: filled Remix icons."""

from benchmark.data import Splits
from benchmark.data.icons.dataset import IconDataset
from benchmark.data.icons.splits import objects_pool, shifted_test_set


class IconObjectsRemix(IconDataset):
    name = "icon-objects-remix"
    title = "Objects, other family"
    template = "an icon of a {}"
    context_words = "an icon of a"
    licence = "Apache-2.0"
    source = "Remix Icon 2.5, https://remixicon.com (fill style)"
    families = ("remix",)
    shift_of = "icon-objects"

    def load(self) -> Splits:
        return shifted_test_set(objects_pool("remix", ("fill",)))
