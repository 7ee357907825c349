"""UCF101: human actions, as the middle frame of each video."""

import re

from benchmark.data.coop.layout import Counts, Item, Listing, PhotoDataset
from benchmark.data.coop.splits import hold_out, read_lines


class UCF101(PhotoDataset):
    name = "ucf101"
    title = "UCF101"
    template = "a photo of a person doing {}."
    licence = "not stated (videos from YouTube, copyright with their owners)"
    source = "Soomro et al. 2012, UCF101, https://arxiv.org/abs/1212.0402"
    folder = "ucf101"
    image_folder = "UCF-101-midframes"
    split_file = "split_zhou_UCF101.json"
    needs = tuple(f"ucfTrainTestlist/{stem}.txt" for stem in ("classInd", "trainlist01", "testlist01"))
    counts = Counts(classes=101, train=7_639, val=1_898, test=3_783)
    size = "0.2 GB"  # of the middle frames

    def rebuild(self) -> Listing:
        index, *lists = (self.root / file for file in self.needs)
        labels = dict(read_lines(index, pair))

        def item(line: str) -> Item:
            """Lines are such as "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1"; the frames' folders have underscores."""
            action, _, video = line.split()[0].partition("/")
            name = "_".join(re.findall("[A-Z][^A-Z]*", action))
            return Item(f"{name}/{video.removesuffix('.avi')}.jpg", labels[action], name)

        trainval, test = (read_lines(file, item) for file in lists)
        return hold_out(trainval, test)


def pair(line: str) -> tuple[str, int]:
    """Lines are such as "1 ApplyEyeMakeup"; labels are counted from 1."""
    number, action = line.split()
    return action, int(number) - 1
