"""``python -m pretraining``: pre-train the icon-world releases again, or measure those that are there.

``train NAME...`` goes on from its checkpoint after an interruption; ``snapshots NAME...`` does the same and keeps
weights on the way (for ``analyse snapshots``); ``card NAME...`` measures a release and writes its model card;
``install NAME...`` copies finished weights from the work folder into the repository.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import torch

from pretraining import card
from pretraining.pretrain import SNAPSHOTS, train
from pretraining.recipes import RECIPES, RELEASES

FILES = ("open_clip_config.json", "open_clip_model.safetensors", "merges.txt.gz")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m pretraining", description=__doc__)
    parser.add_argument("action", choices=("train", "snapshots", "install", "card"))
    parser.add_argument("names", nargs="+", choices=sorted(RECIPES))
    parser.add_argument("--work", type=Path, default=Path("build/pico"), help="folder for checkpoints")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=None, help="CPU threads")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    for name in options.names:
        if options.action in ("train", "snapshots"):
            shares = SNAPSHOTS if options.action == "snapshots" else ()
            train(name, options.work, device=options.device, snapshots=shares)
        elif options.action == "install":
            (RELEASES / name).mkdir(parents=True, exist_ok=True)
            for file in FILES:
                shutil.copy(options.work / name / file, RELEASES / name / file)
        else:
            card.write(RELEASES / name, name)


if __name__ == "__main__":
    main()
