"""The four protocols: what is trained on what, with how many shots, and what it is tested on."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from benchmark.config import loader, paths, validation
from benchmark.config.errors import UserError
from benchmark.config.schema import ProtocolSpec, RunSpec
from benchmark.data import task as rules
from benchmark.data.dataset import ArrayImages, Dataset, Examples, Splits
from benchmark.data.task import BASE_TO_NEW, CROSS_DATASET, DOMAIN, FEW_SHOT, TaskId, make_task
from benchmark.experiment import loading, plan, session
from benchmark.experiment.worker import Context, Worker
from benchmark.method import registry
from benchmark.results import provenance
from benchmark.training.checks.tiny_clips import CLASSES, pictures


def made(name: str, classes: str, *, shots: int = 16, per_class: int = 8, shift_of: str | None = None):
    """A data set with one class a letter; the pixels of an image are its data set, label and number."""

    def examples(offset: int) -> Examples:
        labels = tuple(label for _ in range(per_class) for label in range(len(classes)))
        pixels = np.zeros((len(labels), 2, 2, 3), np.uint8)
        pixels[:, 0, 0, 0], pixels[:, 0, 1, 0] = sum(name.encode()) % 251, offset
        pixels[:, 1, 0, 0], pixels[:, 1, 1, 0] = labels, range(len(labels))
        return Examples(ArrayImages(pixels), labels)

    about = {"name": name, "title": name, "template": f"{name} {{}}.", "shots": shots, "shift_of": shift_of}
    data = type("Made", (Dataset,), about | {"context_words": f"words of {name}"})()
    train = None if shift_of else examples(0)
    return data, Splits(tuple(f"{name} {letter}" for letter in classes), examples(1), train)


SETS = {
    "pets": made("pets", "abcd"),
    "big": made("big", "abcdef"),
    "big-sketch": made("big-sketch", "cab", shift_of="big"),
    "cars": made("cars", "abcde", shots=4),
    "big-art": made("big-art", "ab", shift_of="big"),
}
CHOSEN = {name: data for name, (data, _) in SETS.items()}
LOADED = {name: splits for name, (_, splits) in SETS.items()}


def tasks(*protocols: dict | str, chosen=CHOSEN, **keys):
    """The tasks of a run of these protocols."""
    content = {"backbones": {"b": {"model": "x", "pretrained": "random"}}, "upgrades": [{"old": "b", "new": "b"}]}
    spec = validation.check(
        RunSpec, content | {"protocols": list(protocols), "seeds": [1], "shots": 2, **keys}, where="test"
    )
    return plan.tasks(spec, chosen, LOADED)


def names(found) -> list[tuple[str, str, int, int]]:
    return [(task.dataset, task.protocol, task.shots, task.seed) for task in found]


# --- few-shot ------------------------------------------------------------------------------------------------------


def test_few_shot_runs_once_for_each_number_of_shots():
    found = tasks({"name": FEW_SHOT, "shots": [1, 2, 8], "train_on": "pets"})
    assert names(found) == [("pets", FEW_SHOT, shots, 1) for shots in (1, 2, 8)]
    for task in found.values():
        assert len(task.train) == 4 * task.shots == 4 * task.id.shots
        (test,) = task.tests
        assert (test.key, test.classes, len(test.examples)) == ("all", task.classes, 32)
        assert task.classes == ("pets a", "pets b", "pets c", "pets d")


def test_without_shots_of_its_own_a_protocol_takes_the_runs():
    found = tasks(FEW_SHOT, {"name": DOMAIN, "shots": 5}, shots=3)
    assert {task.shots for task in found if task.protocol == FEW_SHOT} == {3}
    assert {task.shots for task in found if task.protocol == DOMAIN} == {5}


def test_few_shot_takes_all_training_sets_and_no_variant():
    assert [task.dataset for task in tasks(FEW_SHOT)] == ["pets", "big", "cars"]


def test_a_data_set_that_affords_fewer_has_no_task_twice():
    found = tasks({"name": FEW_SHOT, "shots": [1, 4, 8, 16], "train_on": "cars"})
    assert [task.shots for task in found] == [1, 4]
    assert [task.shots for task in found.values()] == [1, 4]
    found = tasks({"name": FEW_SHOT, "shots": [8, 16], "train_on": ["cars", "pets"]})
    assert names(found) == [("pets", FEW_SHOT, 8, 1), ("pets", FEW_SHOT, 16, 1), ("cars", FEW_SHOT, 4, 1)]
    assert [task.shots for task in tasks({"name": FEW_SHOT, "shots": [3, 1, 3], "train_on": "pets"})] == [3, 1]


@pytest.mark.parametrize("name", [BASE_TO_NEW, DOMAIN, CROSS_DATASET])
def test_only_few_shot_takes_several_numbers(name):
    """The report could not tell the others' apart."""
    assert ProtocolSpec(name=name, shots=(4,)).shots == (4,)
    with pytest.raises(UserError, match=f"protocols.0.*: {name} takes one number of shots"):
        tasks({"name": name, "shots": [4, 8]})


# --- train_on ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("protocol", "train_on", "expected"),
    [
        (BASE_TO_NEW, None, ["pets", "big", "cars"]),
        (BASE_TO_NEW, ["cars", "pets"], ["pets", "cars"]),
        (DOMAIN, None, ["big"]),
        (DOMAIN, "pets", ["pets"]),
        (CROSS_DATASET, None, ["big"]),
        (CROSS_DATASET, ["cars", "big"], ["big", "cars"]),
    ],
)
def test_what_is_trained_on(protocol, train_on, expected):
    found = tasks({"name": protocol, "train_on": train_on} if train_on else protocol)
    assert [task.dataset for task in found] == expected


@pytest.mark.parametrize("protocol", [BASE_TO_NEW, FEW_SHOT, DOMAIN, CROSS_DATASET])
@pytest.mark.parametrize(
    ("name", "fix"),
    [("pet", "did you mean 'pets'"), ("big-sketch", "known: big, cars, pets"), ("xyz", "known: big, cars, pets")],
)
def test_a_training_set_that_was_not_chosen(protocol, name, fix):
    with pytest.raises(UserError) as caught:
        tasks({"name": protocol, "train_on": ["big", name]})
    assert f"protocol {protocol}: train_on: {name!r} is not among the training sets (fix: {fix}" in str(caught.value)


@pytest.mark.parametrize(
    ("protocol", "chosen"),
    [
        (DOMAIN, ["pets", "cars"]),
        (CROSS_DATASET, ["pets", "cars"]),
        (CROSS_DATASET, ["big", "big-art"]),
        (FEW_SHOT, ["big-art"]),
    ],
)
def test_a_protocol_that_suits_nothing_is_told(protocol, chosen):
    with pytest.raises(UserError, match="no task is left"):
        tasks(protocol, chosen={name: CHOSEN[name] for name in chosen})


# --- test sets -----------------------------------------------------------------------------------------------------


def test_cross_dataset_tests_each_other_set_on_its_own_terms():
    (task,) = tasks({"name": CROSS_DATASET, "train_on": "big"}).values()
    assert [(test.key, test.part, test.name, test.template, test.classes) for test in task.tests] == [
        ("all", "all", "", "big {}.", LOADED["big"].classes),
        ("cars", "all", "cars", "cars {}.", LOADED["cars"].classes),
        ("pets", "all", "pets", "pets {}.", LOADED["pets"].classes),
    ]
    for test, name in zip(task.tests, ("big", "cars", "pets"), strict=True):
        assert test.examples.digest == LOADED[name].test.digest
    assert task.classes == LOADED["big"].classes
    assert (task.template, task.context_words) == ("big {}.", "words of big")
    assert sorted(task.train.labels) == sorted([*range(6)] * 2)


@pytest.mark.parametrize(
    ("protocol", "of", "expected"),
    [
        (BASE_TO_NEW, "big", []),
        (FEW_SHOT, "big", []),
        (DOMAIN, "big", ["big-sketch", "big-art"]),
        (DOMAIN, "pets", []),
        (CROSS_DATASET, "big", ["pets", "cars"]),
        (CROSS_DATASET, "cars", ["pets", "big"]),
    ],
)
def test_other_test_sets(protocol, of, expected):
    assert rules.other_test_sets(CHOSEN[of], protocol, CHOSEN) == expected


def test_all_protocols_but_one_draw_the_same_images():
    """So that their cells differ in nothing but the test sets."""
    found = tasks(FEW_SHOT, DOMAIN, CROSS_DATASET)
    drawn = {task.train.digest for task_id, task in found.items() if task_id.dataset == "big"}
    hashes = {task.test_hash() for task_id, task in found.items() if task_id.dataset == "big"}
    assert (len(drawn), len(hashes)) == (1, 3)


def test_what_a_set_is_other_test_sets_does_not_change_what_it_is_trained_on():
    data, splits = SETS["big"]
    alone = make_task(data, splits, TaskId("big", CROSS_DATASET, 2, 1))
    (task,) = tasks({"name": CROSS_DATASET, "train_on": "big"}).values()
    assert alone.split_hash() == task.split_hash()
    assert alone.test_hash() != task.test_hash()


def test_order_of_tasks():
    """By data set as chosen, then protocol as in the YAML, shots and seed: neighbours share features."""
    few = {"name": FEW_SHOT, "shots": [2, 1], "train_on": ["big", "pets"]}
    cross = {"name": CROSS_DATASET, "train_on": "cars"}
    assert names(tasks(few, cross, BASE_TO_NEW, seeds=[2, 1])) == [
        *(("pets", FEW_SHOT, shots, seed) for shots in (2, 1) for seed in (2, 1)),
        *(("pets", BASE_TO_NEW, 2, seed) for seed in (2, 1)),
        *(("big", FEW_SHOT, shots, seed) for shots in (2, 1) for seed in (2, 1)),
        *(("big", BASE_TO_NEW, 2, seed) for seed in (2, 1)),
        *(("cars", CROSS_DATASET, 2, seed) for seed in (2, 1)),
        *(("cars", BASE_TO_NEW, 2, seed) for seed in (2, 1)),
    ]


def test_the_report_counts_the_training_images_of_sets_that_are_tests_elsewhere():
    found = tasks({"name": CROSS_DATASET, "train_on": ["pets", "big"]}, shots=3)
    made_plan = plan.Plan((), (), found, ())
    facts = provenance.datasets(CHOSEN, made_plan)
    assert {name: (each.train, each.test, each.classes) for name, each in facts.items()} == {
        "pets": (12, 32, 4),
        "big": (18, 48, 6),
        "cars": (0, 40, 5),
    }


# --- from the command line -------------------------------------------------------------------------------------------


@pytest.fixture
def pairs(tmp_path, backbone_folders) -> Path:
    """A YAML of two tiny backbones, the toy sets and a folder of pictures of four more classes, with all protocols."""
    for label, name in enumerate(CLASSES):
        for number in range(10):
            file = tmp_path / "data" / name / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pictures([label + 4], seed=number)[0]).save(file)
    content = {
        "backbones": {name: {"model": f"local-dir:{backbone_folders[name]}"} for name in ("native", "eva")},
        "upgrades": [{"old": "native", "new": "eva"}],
        "folders": {"mine": {"path": "data", "title": "My pictures"}},
        "datasets": ["toy", "toy-noisy", "mine"],
        "methods": ["zero-shot"],
        "protocols": [
            BASE_TO_NEW,
            {"name": FEW_SHOT, "shots": [1, 2], "train_on": "toy"},
            DOMAIN,
            {"name": CROSS_DATASET, "train_on": "mine", "shots": 4},
        ],
        "preset": "small",
        "seeds": [1],
        "shots": 2,
    }
    (tmp_path / "pairs.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    return tmp_path / "pairs.yaml"


def test_protocols_on_the_command_line_keep_the_files_settings(pairs):
    def chosen(*given: str, shots: int | None = None) -> list[tuple]:
        spec = session.override(loader.load(pairs), protocols=given, shots=shots)
        return [(each.name, each.shots, each.train_on) for each in spec.protocols]

    few, cross = (FEW_SHOT, (1, 2), ("toy",)), (CROSS_DATASET, (4,), ("mine",))
    assert chosen() == [(BASE_TO_NEW, None, None), few, (DOMAIN, None, None), cross]
    assert chosen(CROSS_DATASET, FEW_SHOT) == [cross, few]
    assert chosen(DOMAIN) == [(DOMAIN, None, None)]
    assert chosen(FEW_SHOT, shots=9) == [few]
    with pytest.raises(UserError, match="given twice"):
        chosen(FEW_SHOT, FEW_SHOT)


@pytest.mark.parametrize(
    ("options", "count"),
    [([], 6), (["--protocols=few-shot"], 2), (["--protocols=cross-dataset,few-shot", "--seeds=1,2"], 6)],
)
def test_the_plan_of_all_protocols(options, count, cli, pairs, tmp_path):
    done = cli("--dry-run", f"--upgrade-pairs={pairs}", f"--out={tmp_path}/o", "--device=cpu", *options)
    assert done.status == 0, done.err
    assert f"tasks: {count} (data set x protocol x shots x seed)" in done.out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--protocols=few-shot", "--datasets=mine"], "protocol few-shot: train_on: 'toy' is not among the training sets"),
        (["--protocols=cross-data"], "protocols[0].name"),
    ],
)
def test_a_mistake_is_one_line(options, words, cli, pairs, tmp_path):
    done = cli("--dry-run", f"--upgrade-pairs={pairs}", f"--out={tmp_path}/o", "--device=cpu", *options)
    assert done.status == 2
    assert "Traceback" not in done.err
    assert words in done.err.strip().splitlines()[-1]


def test_a_worker_makes_the_tasks_that_were_planned(pairs, world, monkeypatch):
    """From their names alone, in another process."""
    monkeypatch.setattr(loading, "_LOADED", {})
    spec = loader.load(pairs)
    found = registry.datasets_in(world.root / "datasets", own=spec.folders)
    chosen = {name: found[name].cls() for name in found.select(spec.datasets)}
    made = plan.tasks(spec, chosen, {name: data.load() for name, data in chosen.items()})
    context = Context(spec.backbones, tuple(chosen), world.root, None, "cpu", "fp32", folders=spec.folders)
    monkeypatch.setattr(paths, "bundled", lambda name: world.root / name)
    other_worker = Worker(pickle.loads(pickle.dumps(context)))
    assert len(made) == 6
    for task_id, task in made.items():
        again = other_worker.task(task_id)
        assert (again.split_hash(), again.test_hash()) == (task.split_hash(), task.test_hash())


@pytest.mark.slow
def test_a_run_of_all_protocols(cli, pairs, tmp_path):
    """To the tables and the report's sections."""
    out = tmp_path / "o"
    done = cli(f"--upgrade-pairs={pairs}", "--workers=0", "--device=cpu", f"--out={out}", f"--report={out}/report.html")
    assert done.status == 0, done.err
    table = pd.read_csv(out / "results.csv", keep_default_na=False)
    table = table[(table.metric == "accuracy") & (table.strategy == "reuse")]
    found = {(row.dataset, row.test_set, row.protocol, row.split, row.shots, row.n) for row in table.itertuples()}
    assert found == {
        *(("toy", "", BASE_TO_NEW, split, 2, n) for split, n in (("base", 20), ("new", 20), ("H", 40))),
        *(("mine", "", BASE_TO_NEW, split, 2, n) for split, n in (("base", 6), ("new", 6), ("H", 12))),
        *(("toy", "", FEW_SHOT, "all", shots, 40) for shots in (1, 2)),
        ("toy", "", DOMAIN, "all", 2, 40),
        ("toy", "toy-noisy", DOMAIN, "all", 2, 30),
        ("mine", "", CROSS_DATASET, "all", 4, 12),
        ("mine", "toy", CROSS_DATASET, "all", 4, 40),
    }
    on_toy = table[
        ((table.dataset == "toy") | (table.test_set == "toy")) & (table.split == "all") & (table.test_set != "toy-noisy")
    ]
    assert len(on_toy) == 4
    assert on_toy.value.nunique() == 1, "zero-shot knows nothing of what others are trained on"
    page = (out / "report.html").read_text(encoding="utf-8")
    for words in (
        'id="few-shot"',
        "few-shot, 1 shot:",
        "few-shot, 2 shots:",
        'id="shifted"',
        'id="cross-dataset"',
        "all other data sets:",
    ):
        assert words in page, words
