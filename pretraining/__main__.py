"""``python -m pretraining``: pre-train the icon-world releases again, or measure the existing ones.

``train NAME...`` resumes from its checkpoint after an interruption; ``checkpoints NAME...`` does the same and keeps
intermediate weights (for ``analyse checkpoints``); ``card NAME...`` evaluates a release and writes its model card;
``install NAME...`` copies finished weights from the work folder into the repository.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import torch

from pretraining import card
from pretraining.pretrain import SHARES, train
from pretraining.recipes import RECIPES, RELEASES

FILES = ("open_clip_config.json", "open_clip_model.safetensors", "merges.txt.gz")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m pretraining", description=__doc__)
    parser.add_argument("action", choices=("train", "checkpoints", "install", "card"))
    parser.add_argument("names", nargs="+", choices=sorted(RECIPES))
    parser.add_argument("--work", type=Path, default=Path("build/pico"), help="folder for checkpoints")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=None, help="CPU threads")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    for name in options.names:
        if options.action in ("train", "checkpoints"):
            shares = SHARES if options.action == "checkpoints" else ()
            train(name, options.work, device=options.device, shares=shares)
        elif options.action == "install":
            (RELEASES / name).mkdir(parents=True, exist_ok=True)
            for file in FILES:
                shutil.copy(options.work / name / file, RELEASES / name / file)
        else:
            card.write(RELEASES / name, name)


if __name__ == "__main__":
    main()
