"""What offsets keep on other backbones, by how they are carried there: ``python benchmarks/offsets.py FILE.csv [options]``.

Trains prompts and their offset twins on embedded CLIPs and evaluates them on others, in base and new classes of embedded
data sets. Rows are added to FILE.csv, and what it has is not computed again; then a Markdown table is printed: lift in H
over zero-shot, means over data sets, with 95 % intervals over seeds.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from benchmark.api import load_backbone
from benchmark.data.features import FeatureStore
from benchmark.data.task import BASE_TO_NEW, TaskId, make_task
from benchmark.experiment.loading import splits_of
from benchmark.method import registry
from benchmark.method.passage import Passage
from benchmark.method.prompts import OffsetContext
from benchmark.method.terms import Incompatible
from benchmark.results.intervals import combine
from benchmark.results.metric import harmonic_mean
from benchmark.training.modules import Module, evaluate_module, train_module

RELEASES = ("v1", "v2", "v3", "v4", "v5")
CARRIES = ("plain", "scaled", "mapped", "mapped-scaled")
METHODS = ("coop", "kgcoop", "prograd", "contcoop", "contcoop-no-attention", "ivlp-text")
VARIANTS = ("contcoop-normalised", "contcoop-names")
"""With an offset of their own, and no twin."""
WORDS = "the words alone"
"""The control: what a prompt of the words that the context starts at does without any training. They are not zero-shot's
sentence on every data set."""
GROUP = ["dataset", "seed", "old"]
COLUMNS = (*GROUP, "new", "method", "carry", "h")


def measure(dataset: str, seed: int, old: str, chosen_methods: Sequence[str]) -> list[dict[str, Any]]:
    """H of every method, its twin and way to carry it, trained on one backbone and tested on all."""
    torch.set_num_threads(1)
    methods, features = registry.methods(), FeatureStore(None)
    chosen = registry.datasets()[dataset].cls(None)
    task = make_task(chosen, splits_of(chosen), TaskId(dataset, BASE_TO_NEW, min(16, chosen.shots), seed))
    backbones = {name: load_backbone(f"bundled:{name}") for name in RELEASES}
    passages = {new: Passage(lambda: backbones[old], backbones[new]) for new in RELEASES if new != old}

    def h(module: Module, new: str) -> float:
        found = evaluate_module(module, backbones[new], task, features, passage=passages.get(new))
        return float(harmonic_mean(found["base"].accuracy, found["new"].accuracy))

    rows = []
    cls = methods["coop-offset"].cls  # before it has learnt anything its prompt is the words alone
    config = cls.Config(**cls.preset("small", BASE_TO_NEW, task.shots, dataset))
    untrained = Module(cls, config, cls(config, backbones[old], task.class_list()).tensors(), task.classes)
    rows += [dict(zip(COLUMNS, (dataset, seed, old, new, WORDS, "", h(untrained, new)), strict=True)) for new in RELEASES]
    twins = [twin for method in chosen_methods if (twin := f"{method}-offset") in methods.plugins]
    for name in ("zero-shot", *chosen_methods, *twins):
        cls = methods[name].cls
        config = cls.Config(**cls.preset("small", BASE_TO_NEW, task.shots, dataset))
        method, _ = train_module(cls, config, backbones[old], task, features)
        for carry, new in product(CARRIES if issubclass(cls, OffsetContext) else ("",), RELEASES):
            settings = config.model_copy(update={"carry": carry}) if carry else config
            try:
                value = h(Module(cls, settings, method.tensors(), task.classes), new)
            except Incompatible:
                continue  # what lives inside a tower cannot be mapped
            rows.append(dict(zip(COLUMNS, (dataset, seed, old, new, name, carry, value), strict=True)))
    return rows


def table(rows: pd.DataFrame) -> Iterator[str]:
    """Lines of a Markdown table."""
    zero = rows[rows.method == "zero-shot"].set_index([*GROUP, "new"]).h
    rows = rows[rows.method != "zero-shot"].join(zero.rename("zero"), on=[*GROUP, "new"])
    rows = rows.assign(lift=rows.h - rows.zero)
    news = [name for name in RELEASES if name in set(rows.new)]
    yield f"| method | carried | {' | '.join(news)} |"
    yield "|---|---|" + "---:|" * len(news)
    for (method, carry), part in rows.groupby(["method", "carry"], sort=False):
        cells = []
        for new in news:
            there = part[part.new == new]
            if there.empty:
                cells.append("")
                continue
            estimate = combine([list(each.lift) for _, each in there.groupby("dataset")])
            low, high = estimate.interval()
            cells.append(f"{estimate.mean:+.1f} [{low:+.1f}, {high:+.1f}]")
        yield f"| {method} | {carry} | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--datasets", default="icon-objects,digits,icon-modifiers")
    parser.add_argument("--old", default="v1")
    parser.add_argument("--methods", default=",".join((*METHODS, *VARIANTS)))
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    wanted = set(product(options.datasets.split(","), range(1, options.seeds + 1), options.old.split(",")))
    known = pd.read_csv(options.file, keep_default_na=False) if options.file.exists() else pd.DataFrame(columns=GROUP)
    done = set(known[GROUP].itertuples(index=False, name=None))
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        for found in [pool.submit(measure, *each, options.methods.split(",")) for each in sorted(wanted - done)]:
            known = pd.concat([known, pd.DataFrame(found.result())])
            known.to_csv(options.file, index=False)
    chosen = [key in wanted for key in known[GROUP].itertuples(index=False, name=None)]
    print("\n".join(table(known[chosen])))


if __name__ == "__main__":
    main()
