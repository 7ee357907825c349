"""Print the BibTeX of everything that a report contains: this suite, the paper behind its question, and the methods."""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

from benchmark.cli.console import progress_console
from benchmark.config.errors import UserError
from benchmark.method import registry

SUITE = """@software{clip_compat_bench,
  title={clip-compat-bench: how well fine-tuned {CLIP} modules survive a backbone update},
  author={{The clip-compat-bench authors}}, year={2026}}"""
QUESTION = """@article{wang2024contcoop,
  title={Towards Compatible Fine-tuning for Vision-Language Model Updates},
  author={Wang, Zhengbo and Liang, Jian and Sheng, Lijun and He, Ran and Wang, Zilei and Tan, Tieniu},
  journal={arXiv preprint arXiv:2412.20895}, year={2024}}"""
BACKBONES = """@software{ilharco2021openclip,
  title={{OpenCLIP}}, author={Ilharco, Gabriel and Wortsman, Mitchell and Wightman, Ross and Gordon, Cade and others},
  year={2021}, doi={10.5281/zenodo.5143773}}"""


def run(options: argparse.Namespace) -> int:
    """Print; returns the exit status."""
    console = progress_console()
    plugins, used = registry.methods(tuple(options.plugins)), methods_of(options.out / "results.csv")
    entries = [plugins[name].cls.info.bibtex for name in used if name in plugins.plugins]
    for entry in dict.fromkeys((SUITE, QUESTION, BACKBONES, *filter(None, entries))):
        print(entry, end="\n\n")
    for name in used:
        if name not in plugins.plugins:
            console.print(f"warning: no method {name!r} is installed, so it cannot be cited", markup=False)
    return 0


def methods_of(table: Path) -> list[str]:
    """The methods in a results.csv.

    Raises:
        UserError: the file does not exist, or is not a table of results.
    """
    try:
        with table.open(encoding="utf-8", newline="") as file:
            return sorted({row["method"] for row in csv.DictReader(file)})
    except FileNotFoundError:
        raise UserError(f"no {table}", fix="run the benchmark first, or name its --out") from None
    except (OSError, KeyError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{table} is not a table of results ({error})", fix="name another --out") from None
