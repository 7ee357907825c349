"""How related backbones are, from words alone: no images, no labels, no training."""

from __future__ import annotations

import argparse

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benchmark.backbones.clip import Backbone
from benchmark.cli.backbones import named_backbone
from benchmark.cli.console import progress_console
from benchmark.config import loader
from benchmark.config.errors import UserError
from benchmark.experiment import preflight
from benchmark.experiment.devices import cores, use_cpu
from benchmark.method.relatedness import SCALE, relatedness
from benchmark.method.terms import Space

SPACES: dict[Space, str] = {"tokens": "token embeddings", "features": "text features"}


def run(options: argparse.Namespace) -> int:
    """Print it for two backbones, or for every upgrade of the YAML; returns the exit status."""
    use_cpu(cores())
    spec, progress = loader.load(loader.find(options.upgrade_pairs)), progress_console()
    if (options.old is None) != (options.new is None):
        raise UserError("one backbone is named", fix="name the old and the new one, or none for all upgrades of the YAML")
    pairs = [(options.old, options.new)] if options.old else list(spec.pairs())
    specs = {name: named_backbone(name, spec, "relatedness") for pair in pairs for name in pair}
    preflight.require(specs, [], progress)
    table = Table(title=f"relatedness ({SCALE})", title_justify="left", title_style="")
    table.add_column("upgrade", overflow="fold")
    for words in SPACES.values():
        table.add_column(words, justify="right")
    reasons: dict[str, None] = {}
    loaded: dict[str, Backbone] = {}
    with progress.status("comparing backbones"):
        for old, new in pairs:
            loaded = {name: loaded.get(name) or Backbone.load(name, specs[name]) for name in (old, new)}
            cells = []
            for space in SPACES:
                try:
                    cells.append(f"{relatedness(loaded[old], loaded[new], space):.2f}")
                except ValueError as error:
                    cells.append("-")
                    reasons[f"{old} to {new}: {error}"] = None
            table.add_row(escape(f"{old} \N{RIGHTWARDS ARROW} {new}"), *cells)
    console = Console(highlight=False)
    console.print(table)
    for reason in reasons:
        console.print(reason, markup=False, soft_wrap=True)
    return 0
