"""Common objects as colour emoji."""

from benchmark.data import Splits
from benchmark.data.icons.dataset import IconDataset
from benchmark.data.icons.emoji import objects_as_emoji


class IconObjectsEmoji(IconDataset):
    name = "icon-objects-emoji"
    title = "Objects, colour emoji"
    template = "an icon of a {}"
    context_words = "an icon of a"
    licence = "CC-BY-SA-4.0"
    source = "OpenMoji, https://openmoji.org"
    families = ("openmoji",)
    packages = {"emoji": "emoji"}
    shift_of = "icon-objects"

    def load(self) -> Splits:
        return objects_as_emoji()
