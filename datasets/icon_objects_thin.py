"""Common objects in hairlines: Phosphor's thin weight."""

from benchmark.data import Splits
from benchmark.data.icons.dataset import IconDataset
from benchmark.data.icons.splits import objects_pool, shifted_test_set


class IconObjectsThin(IconDataset):
    name = "icon-objects-thin"
    title = "Objects, thin lines"
    template = "an icon of a {}"
    context_words = "an icon of a"
    licence = "MIT"
    source = "Phosphor Icons 1.3, https://phosphoricons.com (thin weight)"
    families = ("phosphor",)
    shift_of = "icon-objects"

    def load(self) -> Splits:
        return shifted_test_set(objects_pool("phosphor", ("thin",)))
