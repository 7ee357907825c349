"""Seeds that are added until verdicts are decided: only where they are open, and without more false verdicts."""

from __future__ import annotations

import argparse
import itertools

import numpy as np
import pandas as pd
import pytest

from benchmark.cli.until_decided import MOST, with_more_seeds
from benchmark.config import loader
from benchmark.config.errors import UserError
from benchmark.results.summary import KEYS, Covariances, summarise, verdict, with_baseline

METHODS, SETS, FIRST, RUNS = 8, ("one", "two"), 3, 150


def simulated(rng: np.random.Generator, looks: int, effect: float = 0.0) -> tuple[int, int]:
    """(false verdicts at the end, most seeds) of a run of methods whose true lift is ``effect``; a method that is decided
    gets no further seed. False are "helps" and "harms" if the lift is 0, "harms" and "no effect" if it is above."""
    values = effect + rng.normal(0, 2.0, (METHODS, len(SETS), FIRST + MOST))
    seeds = dict.fromkeys(range(METHODS), FIRST)
    for most in range(FIRST, FIRST + MOST):
        rows = []
        for method, dataset, seed in itertools.product((-1, *range(METHODS)), range(len(SETS)), range(most)):
            if method < 0 or seed < seeds[method]:
                reuse = 50.0 if method < 0 else 50 + values[method, dataset, seed]
                name = "zero" if method < 0 else str(method)
                key = ("a->b", name, "default", SETS[dataset], "", "base-to-new", "H", seed)
                rows.append(dict(zip(KEYS, key, strict=True)) | {"old": 40.0, "reuse": reuse, "retrain": np.nan})
        table = summarise(with_baseline(pd.DataFrame(rows), "zero"), Covariances(), "zero", looks)
        judged = table[table.method != "zero"]
        said = {int(row.method): verdict(row.lift, row.p, row.p_outside) for row in judged.itertuples()}
        left = [method for method in said if said[method] == "undecided"]
        if not left or most == FIRST + MOST - 1:
            break
        seeds.update(dict.fromkeys(left, most + 1))
    wrong = ("helps", "harms") if effect == 0 else ("harms", "no effect")
    return sum(word in wrong for word in said.values()), max(seeds.values())


@pytest.mark.slow
def test_false_verdicts_are_as_rare_as_promised():
    """Of runs of eight methods without any effect, at most one in twenty has a false verdict at any of ten looks; without
    the correction for looks more have one."""
    rng = np.random.default_rng(5)
    corrected = np.mean([simulated(rng, looks=MOST)[0] > 0 for _ in range(RUNS)])
    plain = np.mean([simulated(rng, looks=1)[0] > 0 for _ in range(RUNS)])
    assert corrected <= 0.05 + 2 * (0.05 * 0.95 / RUNS) ** 0.5
    assert plain > 2 * corrected


@pytest.mark.slow
def test_real_effects_are_found_with_fewer_seeds_than_the_most():
    rng = np.random.default_rng(6)
    found = [simulated(rng, looks=MOST, effect=6.0) for _ in range(30)]
    assert sum(false for false, _ in found) == 0
    assert np.mean([seeds for _, seeds in found]) < 9


@pytest.mark.parametrize(
    ("given", "seeds", "words"),
    [
        ({"until_decided": False, "max_seeds": None}, (1, 2, 3), ""),
        ({"until_decided": True, "max_seeds": 5}, (1, 2, 3, 4, 5), ""),
        ({"until_decided": True, "max_seeds": None}, tuple(range(1, 11)), ""),
        ({"until_decided": True, "max_seeds": 2}, None, "the run has 3 seeds anyway"),
        ({"until_decided": False, "max_seeds": 5}, None, "--max-seeds goes with --until-decided"),
    ],
)
def test_the_seeds_that_there_may_be(given, seeds, words):
    spec = loader.load(loader.find(None)).model_copy(update={"seeds": (1, 2, 3)})
    if seeds is None:
        with pytest.raises(UserError, match=words):
            with_more_seeds(spec, argparse.Namespace(**given))
    else:
        assert with_more_seeds(spec, argparse.Namespace(**given)).seeds == seeds


MATRIX = (
    "--upgrade-pairs=wide.yaml",
    "--methods=coop,clip-adapter,clip-lora",
    "--protocols=base-to-new,few-shot",
    "--workers=0",
    "--set=coop.steps=2",
    "--set=clip-adapter.steps=2",
    "--set=clip-lora.steps=2",
)


def test_a_run_adds_seeds_where_verdicts_are_open(world, tmp_path):
    given = (*MATRIX, f"--out={tmp_path}/out", f"--report={tmp_path}/page.html", "--until-decided", "--max-seeds=4")
    done = world.call(*given, "--seeds=1,2")
    assert done.status == 0, done.err
    assert "after 2 seeds: seed 3 follows for" in done.err
    assert "cells have no value" not in done.out, "a method that is decided early is complete"
    table = pd.read_csv(tmp_path / "out" / "results.csv")
    added = table[table.seed > 2]
    assert set(added.protocol) == {"base-to-new"}, "the headline's"
    per = table[(table.protocol == "base-to-new") & (table.split == "H") & (table.metric == "accuracy")]
    counts = per[per.strategy == "reuse"].groupby(["pair", "method"]).seed.nunique()
    assert counts.loc[(slice(None), "zero-shot")].max() == table.seed.max()
    assert set(added.method) - {"zero-shot"}, "some verdicts are open with two seeds"
    open_at = {tuple(row) for row in added[["pair", "method"]].drop_duplicates().to_numpy()}
    final = table[(table.strategy == "reuse") & (table.status == "incompatible")]
    never = {tuple(row) for row in final[["pair", "method"]].drop_duplicates().to_numpy()}
    assert never.isdisjoint(open_at), "what is incompatible is not undecided"
    again = world.call(*given, "--seeds=1,2")
    assert again.status == 0, again.err
    assert "cells to do" not in again.err, "the same looks, and nothing to compute"
    assert "after up to 3 looks at the verdicts" in (tmp_path / "page.html").read_text()


def test_seeds_are_added_to_the_headlines_number_of_shots(world, tmp_path):
    given = (
        *(option for option in MATRIX if "protocols" not in option),
        "--upgrade-pairs=shots.yaml",
        f"--out={tmp_path}/out",
        "--no-report",
        "--until-decided",
        "--max-seeds=3",
    )
    text = (world.root / "pairs.yaml").read_text() + "protocols: [{name: few-shot, shots: [1, 2]}]\n"
    (world.root / "shots.yaml").write_text(text)
    done = world.call(*given, "--seeds=1,2")
    assert done.status == 0, done.err
    table = pd.read_csv(tmp_path / "out" / "results.csv")
    added = table[table.seed > 2]
    assert set(zip(added.protocol, added.shots, strict=True)) == {("few-shot", 2)}
