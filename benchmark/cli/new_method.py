"""Write a working, commented skeleton of a new method; it passes all checks of ``check-method``."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from benchmark.cli.console import progress_console
from benchmark.cli.new_file import write_new_file
from benchmark.config import paths
from benchmark.config.errors import UserError
from benchmark.config.paths import is_checkout, program
from benchmark.method import registry

SKELETON = '''"""{title}: one sentence on what it is."""

import torch
from pydantic import Field
from torch import nn

from benchmark.method import Info, Method, MethodConfig


class {cls}(Method):
    """f' = f * (1 + g) (give the formula, and the paper's section or equation it comes from)."""

    info = Info(
        name="{name}",
        title="{title}",
        summary="what is learnt, in a few words",
        tunes=("features",),  # of "text", "vision", "features"
        depth="deep",  # "shallow" if it learns at the input of the text encoder
        parameters="d",  # how many numbers, see benchmark/method/base.py for the names
        transfer="what happens to the module on another backbone, and when it cannot be used there",
        ours=True,  # or, for a published method: paper, year, venue, url, code and bibtex
    )

    class Config(MethodConfig):
        """Defaults: the official settings. The optimiser's are inherited; these are changed or new."""

        epochs: int = Field(default=50, ge=0)
        limit: float = Field(default=0.5, gt=0)
        """Say what each setting means."""

    # For towers of icon size; the rate is chosen by python -m pretraining.tune --methods {name}.
    presets = {{"small": {{"steps": 100, "warmup_epochs": 0, "anneal": "step", "lr": 0.1}}}}

    def build(self):
        # Parameters are what is learnt and saved, and nothing else is. Shapes come from the backbone. Everything that can be
        # derived from the backbone and the given class list (self.backbone, self.classes) is derived here.
        self.gain = nn.Parameter(torch.zeros(self.backbone.embed_dim))

    # Override class_features, image_features, logits or loss; whatever is left alone is zero-shot CLIP.
    def image_features(self, batch):
        change = self.config.limit * torch.tanh(self.gain)
        return super().image_features(batch) * (1 + change)
'''


def run(options: argparse.Namespace) -> int:
    """Write the file; returns the exit status."""
    console = progress_console()
    own = paths.bundled("methods") if is_checkout() else Path("methods")
    folder: Path = options.folder or own
    name = options.name
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        raise UserError(
            f"invalid name for a method: {name!r}", fix="lower case, digits and single hyphens, such as my-adapter"
        )
    known = registry.methods()
    if name in known.plugins or name in known.aliases:
        raise UserError(f"there is a method {name!r} already: {known[name].file}", fix="choose another name")
    file = folder / f"{name.replace('-', '_')}.py"
    words = name.split("-")
    text = SKELETON.format(name=name, cls="".join(map(str.capitalize, words)), title=" ".join(words).capitalize())
    write_new_file(file, text, fix="choose another --folder")
    console.print(f"written: {file}", markup=False, soft_wrap=True)
    where = "" if folder == own and is_checkout() else f" --folder {folder}"
    console.print(f"next: {program()} check-method {name}{where}", markup=False, soft_wrap=True)
    return 0
