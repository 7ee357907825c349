"""Common objects as colour emoji."""

from benchmark.data import Dataset
from benchmark.data.icons.emoji import objects_as_emoji


class IconObjectsEmoji(Dataset):
    name = "icon-objects-emoji"
    title = "Objects, colour emoji"
    template = "an icon of a {}"
    context_words = "an icon of a"
    licence = "CC-BY-SA-4.0"
    source = "OpenMoji, https://openmoji.org"
    shift_of = "icon-objects"

    def load(self):
        return objects_as_emoji()
