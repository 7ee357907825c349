"""The whole experiment of the source paper, in miniature: its own YAML, its 15 data sets, its four protocols."""

from __future__ import annotations

import itertools
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import open_clip
import pandas as pd
import pytest
import yaml
from fixtures import miniature
from fixtures.command import run
from open_clip.pretrained import get_pretrained_cfg

from benchmark.config import loader
from benchmark.data.dataset import Dataset
from benchmark.experiment import plan
from benchmark.method import registry
from benchmark.report import render
from benchmark.results.archive import read
from benchmark.training.checks.tiny_clips import CONFIGS, SCALES
from benchmark.training.checks.tiny_clips import write as write_backbone

ROOT = Path(__file__).resolve().parents[2]
PAIRS = sorted(file for file in (ROOT / "pairs").glob("*.yaml") if file.stem != "icons-full")
PAPER = ROOT / "pairs" / "paper.yaml"

METHODS = registry.methods()
ALL = {"zero-shot", "coop", "maple"}
"""Some of every kind; all of them would take this test too long."""
CLASS_BOUND = {name for name in ALL if METHODS[name].cls.info.class_bound}
VARIANTS = {name for name in miniature.NAMES if name.startswith("imagenet-")}
TRAINED = set(miniature.NAMES) - VARIANTS
SHOTS = (1, 2, 4, 8, 16)
FEW = (1, 4)
"""Some of them, which every class of the miniatures can give."""

every_file = pytest.mark.parametrize("file", PAIRS, ids=lambda file: file.stem)


# --- the files in pairs/ ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def data_root(tmp_path_factory) -> Path:
    """A folder like CoOp's ``~/data``, with all 15 data sets."""
    return miniature.build_all(tmp_path_factory.mktemp("data"))


def test_there_are_files_of_pairs():
    assert PAPER in PAIRS
    assert len(PAIRS) >= 4


@every_file
def test_pairs_name_weights_that_open_clip_has(file):
    """And the activation that they were trained with: QuickGELU or not."""
    spec = loader.load(file)
    assert {name for pair in spec.pairs() for name in pair} == spec.backbones.keys(), "a backbone is not used"
    for name, backbone in spec.backbones.items():
        assert (backbone.model, backbone.pretrained) in open_clip.list_pretrained(), name
        weights = get_pretrained_cfg(backbone.model, backbone.pretrained)
        built = open_clip.get_model_config(backbone.model)
        assert bool(weights.get("quick_gelu")) == bool(built.get("quick_gelu")), name
        assert weights["hf_hub"], "fetched from the hub, not from a URL that may be gone"
        assert backbone.title, name
        assert backbone.note is None, name


@every_file
def test_pairs_make_the_tasks_that_they_promise(file, data_root):
    """Every data set and protocol of the file, on the real folder layouts."""
    spec = loader.load(file)
    known = registry.datasets()
    chosen: dict[str, Dataset] = {name: known[name].cls(data_root) for name in known.select(spec.datasets)}
    assert all(dataset.missing() is None for dataset in chosen.values())
    tasks = plan.tasks(spec, chosen, {name: dataset.load() for name, dataset in chosen.items()})
    assert {task.protocol for task in tasks} == {each.name for each in spec.protocols}
    assert {task.dataset for task in tasks} == {name for name in chosen if name not in VARIANTS}
    assert {task.seed for task in tasks} == {1, 2, 3}
    assert (spec.preset, spec.shots, spec.warning) == ("paper", 16, None)
    configurations = plan.configurations(METHODS, METHODS.select(spec.methods), [])
    unlisted = {name for name, plugin in METHODS.plugins.items() if not plugin.cls.info.listed}
    assert {configuration.method for configuration in configurations} == set(METHODS.plugins) - unlisted
    for task, configuration in itertools.product(tasks, configurations):
        configuration.settings(METHODS[configuration.method].cls, spec.preset, task)


def test_the_full_icon_world_is_the_default_with_more_data_sets():
    """So that it goes on from the default's results: the same backbones, preset, shots and seeds."""
    default, full = loader.load(ROOT / "pairs.yaml"), loader.load(ROOT / "pairs" / "icons-full.yaml")
    known = registry.datasets()
    few, many = set(known.select(default.datasets)), set(known.select(full.datasets))
    assert few < many
    assert len([name for name in many if known[name].cls.shift_of is None]) == 6
    same = {name: getattr(default, name) for name in ("backbones", "upgrades", "protocols", "preset", "shots", "seeds")}
    assert same == {name: getattr(full, name) for name in same}
    assert default.warning == full.warning


def test_the_papers_plan(data_root):
    """15 data sets and four protocols, as its section on experiments has them."""
    spec = loader.load(PAPER)
    known = registry.datasets()
    assert set(known.select(spec.datasets)) == set(miniature.NAMES)
    chosen = {name: known[name].cls(data_root) for name in known.select(spec.datasets)}
    tasks = plan.tasks(spec, chosen, {name: dataset.load() for name, dataset in chosen.items()})
    found = {(task.protocol, task.dataset, task.shots) for task in tasks}
    wanted = {("base-to-new", name, 16) for name in TRAINED}
    wanted |= {("few-shot", name, shots) for name in TRAINED for shots in SHOTS}
    wanted |= {("domain", "imagenet", 16), ("cross-dataset", "imagenet", 16)}
    assert found == wanted
    assert len(tasks) == 3 * len(wanted)
    for task in tasks.values():
        tested = {test.name for test in task.tests} - {""}
        assert tested == {"domain": VARIANTS, "cross-dataset": TRAINED - {"imagenet"}}.get(task.id.protocol, set())


# --- the command -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def paper(tmp_path_factory, data_root) -> SimpleNamespace:
    """README's command on ``pairs/paper.yaml``, cut down to tiny backbones, one pair, one seed, few shots and steps."""
    place = tmp_path_factory.mktemp("paper")
    content = yaml.safe_load(PAPER.read_text(encoding="utf-8"))
    pair = content["upgrades"][0]
    names = [pair["old"], pair["new"]]
    for name, layout in zip(names, ("native", "eva"), strict=True):
        layers = CONFIGS[layout]
        layers = {**layers, "text_cfg": {**layers["text_cfg"], "context_length": 77}}  # the templates are long
        folder = write_backbone(place / layout, layers, seed=1, scale=SCALES[layout])
        content["backbones"][name] = {"model": f"local-dir:{folder}", "title": content["backbones"][name]["title"]}
    content["upgrades"] = [pair]
    next(each for each in content["protocols"] if "shots" in each)["shots"] = list(FEW)
    (place / "paper.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    few = [f"--set={name}.{key}" for name in sorted(ALL) if METHODS[name].cls.info.tunes for key in ("steps=2", "views=1")]
    given = ["--upgrade-pairs", str(place / "paper.yaml"), "--methods", ",".join(sorted(ALL))]
    given += ["--data-root", str(data_root), "--seeds=1", *few, "--device=cpu", "--workers=0"]
    given += [f"--out={place}/results", "--no-report"]
    first = run(*given)
    assert first.status == 0, first.err
    table = pd.read_csv(place / "results" / "results.csv", keep_default_na=False)
    return SimpleNamespace(first=first, given=given, place=place, table=table, pair="->".join(names))


def accuracies(paper, protocol: str) -> pd.DataFrame:
    found = paper.table
    return found[(found.protocol == protocol) & (found.metric == "accuracy")]


@pytest.mark.slow
def test_every_cell_has_a_figure_or_a_reason(paper):
    found = paper.table
    assert "Traceback" not in paper.first.err
    assert set(found.pair) == {paper.pair}
    assert set(found.method) == ALL
    assert set(found.status) <= {"ok", "incompatible"}
    fine = found[found.status == "ok"]
    assert fine.value.astype(float).between(0, 100).all()
    assert (fine.n.astype(float) > 0).all()
    incompatible = found[found.status == "incompatible"]
    assert set(incompatible.strategy) <= {"reuse"}, "what does not fit the new backbone can still be trained on it"
    assert incompatible.reason.str.contains("must be").all()
    assert set(fine[fine.strategy == "reuse"].method) >= {"zero-shot", "coop"}


@pytest.mark.slow
def test_base_to_new_on_eleven_data_sets(paper):
    found = accuracies(paper, "base-to-new")
    assert set(found.dataset) == TRAINED
    assert len(TRAINED) == 11
    assert set(found.shots) == {16}
    fine = found[found.status == "ok"]
    wide = fine.pivot(index=["method", "dataset", "strategy"], columns="split", values="value").astype(float)
    assert set(wide.columns) == {"base", "new", "H"}
    bound = wide.index.get_level_values("method").isin(CLASS_BOUND)
    assert wide[bound].new.isna().all(), "no figure for classes that they cannot know"
    assert wide[bound].base.notna().all()
    wide = wide[~bound]
    assert wide.notna().all(axis=None)
    both = (wide.base > 0) & (wide.new > 0)
    assert both.sum() > len(wide) / 2
    expected = (2 * wide.base * wide.new / (wide.base + wide.new))[both]
    assert (wide.H[both] - expected).abs().max() < 1e-3
    assert (wide.H[~both] == 0).all()


@pytest.mark.slow
def test_few_shot_with_every_number_of_shots(paper):
    found = accuracies(paper, "few-shot")
    assert set(found.split) == {"all"}
    counts = found.groupby(["dataset", "shots", "method", "strategy"]).size()
    assert (counts == 1).all()
    assert set(found.dataset) == TRAINED
    assert set(found.shots) == set(FEW)
    assert len(counts) == len(TRAINED) * len(FEW) * len(ALL) * 3
    zero = found[found.method == "zero-shot"]
    assert (zero.groupby(["dataset", "strategy"]).value.nunique() == 1).all(), "nothing is learnt: shots do not matter"


@pytest.mark.slow
def test_domain_rows_for_the_four_variants(paper):
    """ImageNet-A and -R are scored among their own classes only: their class lists are shorter than ImageNet's."""
    found = accuracies(paper, "domain")
    assert set(found.dataset) == {"imagenet"}
    fine = found[found.status == "ok"]
    for _, rows in fine.groupby(["method", "strategy"]):
        assert set(rows.test_set) == {"", *VARIANTS}
        sizes = dict(zip(rows.test_set, rows.n.astype(float), strict=True))
        assert sizes == {"": 24, "imagenet-v2": 36, "imagenet-sketch": 24, "imagenet-a": 12, "imagenet-r": 16}
    seen = set()
    for file in paper.place.glob("results/cells/*/*/predictions.npz"):
        with np.load(file) as stored:
            if "imagenet-a" not in stored:
                continue
            for name in ("imagenet-a", "imagenet-r"):
                kept = len(miniature.CLASSES[name])
                assert kept < len(miniature.CLASSES["imagenet"])
                assert stored[name].max() < kept
            seen |= set(stored["all"].tolist())
    assert max(seen) >= len(miniature.CLASSES["imagenet-r"]), "there are more classes to predict elsewhere"


@pytest.mark.slow
def test_cross_dataset_rows_for_the_ten_others(paper):
    found = accuracies(paper, "cross-dataset")
    assert set(found.dataset) == {"imagenet"}
    fine = found[found.status == "ok"]
    for (method, _), rows in fine.groupby(["method", "strategy"]):
        elsewhere = [] if method in CLASS_BOUND else sorted(TRAINED - {"imagenet"})
        assert sorted(rows.test_set) == ["", *elsewhere]


@pytest.mark.slow
def test_the_report_has_its_sections(paper):
    page = render(read(paper.place / "results"))
    for anchor in ("summary", "few-shot", "shifted", "cross-dataset", "costs", "methods", "provenance"):
        assert f'id="{anchor}"' in page, anchor
    for name in miniature.NAMES:
        assert registry.datasets()[name].cls.title in page, name


@pytest.mark.slow
def test_a_second_run_would_compute_nothing(paper):
    done = run(*paper.given, "--dry-run")
    assert done.status == 0, done.err
    tasks = len(TRAINED) * (1 + len(FEW)) + 2
    cells = tasks * len(ALL) * (2 + 3)  # trainings and evaluations
    assert f"cells: {cells}, {cells} done, 0 to do" in done.out
