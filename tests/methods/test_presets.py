"""Settings of a task: the official ones by protocol, shots and data set, the small preset, and what the user changes."""

from __future__ import annotations

import pytest

from benchmark.data.task import TaskId
from benchmark.experiment import plan
from benchmark.method import registry
from benchmark.training.evaluation import columns_of

METHODS = registry.methods()

OFFICIAL = [  # method, (protocol, shots, data set), settings of the reference, section 2 and 3
    ("coop", ("base-to-new", 16, "dtd"), {"n_ctx": 4, "lr": 0.002, "batch_size": 32, "epochs": 200, "init_words": None}),
    ("coop", ("base-to-new", 16, "imagenet"), {"n_ctx": 4, "epochs": 50}),
    ("coop", ("few-shot", 1, "dtd"), {"n_ctx": 16, "epochs": 50, "init_words": ""}),
    ("coop", ("few-shot", 4, "dtd"), {"n_ctx": 16, "epochs": 100}),
    ("coop", ("few-shot", 16, "imagenet"), {"epochs": 50}),
    ("coop-csc", ("few-shot", 2, "dtd"), {"n_ctx": 16, "epochs": 100}),
    ("cocoop", ("base-to-new", 16, "dtd"), {"n_ctx": 4, "lr": 0.002, "batch_size": 1, "epochs": 10}),
    ("kgcoop", ("base-to-new", 16, "dtd"), {"n_ctx": 4, "batch_size": 128, "epochs": 100, "weight": 8.0}),
    ("prograd", ("few-shot", 1, "dtd"), {"n_ctx": 16, "batch_size": 32, "epochs": 50, "temperature": 1.0, "strength": 1.0}),
    ("prograd", ("few-shot", 16, "dtd"), {"strength": 0.8, "template": "a texture of {}.", "init_words": "a texture of"}),
    ("prograd", ("few-shot", 8, "eurosat"), {"strength": 0.8, "init_words": "a centered satellite photo of"}),
    ("prograd", ("few-shot", 4, "eurosat"), {"strength": 1.0}),
    ("prograd", ("few-shot", 16, "oxford-pets"), {"strength": 1.0, "init_words": "a type of pet, a photo of a"}),
    ("prograd", ("few-shot", 16, "sun397"), {"strength": 1.0, "template": "a photo of a {}."}),
    ("promptsrc", ("base-to-new", 16, "dtd"), {"templates": "imagenet-60"}),
    ("clip-adapter", ("few-shot", 16, "imagenet"), {"epochs": 50}),
    ("clip-adapter", ("few-shot", 1, "dtd"), {"epochs": 50}),
    ("clip-adapter", ("few-shot", 2, "dtd"), {"epochs": 100}),
    ("clip-adapter", ("base-to-new", 16, "dtd"), {"epochs": 200}),
    ("tip-adapter", ("few-shot", 16, "dtd"), {"crop": [0.5, 1.0]}),
    ("tip-adapter-f", ("few-shot", 16, "dtd"), {"crop": [0.5, 1.0], "drop_last": False}),
    ("clip-lora", ("few-shot", 16, "dtd"), {"crop": None, "drop_last": False}),
    ("coop", ("few-shot", 16, "dtd"), {"crop": None, "drop_last": True, "pool_views": False}),
    ("clap", ("few-shot", 16, "eurosat"), {"pool_views": True, "batch_size": 256}),
    ("maple", ("base-to-new", 16, "dtd"), {"n_ctx": 2, "depth": 9, "lr": 0.0035, "batch_size": 4, "epochs": 5}),
    ("maple", ("domain", 16, "imagenet"), {"n_ctx": 2, "depth": 3, "lr": 0.0026, "epochs": 2}),
    ("vpt", ("base-to-new", 16, "dtd"), {"n_image": 8, "depth": 12, "lr": 0.0025, "batch_size": 4, "epochs": 5}),
    ("ivlp", ("base-to-new", 16, "dtd"), {"n_ctx": 2, "n_image": 2, "text_depth": 12, "lr": 0.0035, "epochs": 5}),
    ("promptsrc", ("base-to-new", 16, "dtd"), {"epochs": 20, "depth": 9, "average_mean": 15.0, "average_std": 1.0}),
    ("promptsrc", ("few-shot", 16, "food101"), {"epochs": 50, "average_mean": 30.0, "average_std": 30.0}),
    ("promptsrc", ("few-shot", 16, "eurosat"), {"epochs": 50, "average_mean": 45.0, "average_std": 5.0}),
    ("promptsrc", ("cross-dataset", 16, "imagenet"), {"epochs": 20, "depth": 3, "average_mean": 6.0, "average_std": 10.0}),
    ("taskres", ("few-shot", 16, "dtd"), {"optimizer": "adam", "lr": 0.002, "batch_size": 256, "epochs": 200, "scale": 0.5}),
    ("taskres", ("few-shot", 4, "oxford-flowers"), {"epochs": 100, "scale": 1.0}),
    ("taskres", ("domain", 16, "imagenet"), {"lr": 2e-4, "scale": 0.5}),
    ("tip-adapter", ("few-shot", 16, "dtd"), {"alpha": 2.0, "beta": 1.0, "largest_beta": 13.0, "largest_alpha": 13.0}),
    ("tip-adapter", ("few-shot", 16, "imagenet"), {"alpha": 1.17, "largest_beta": 7.0, "largest_alpha": 3.0, "views": 10}),
    ("tip-adapter-f", ("few-shot", 16, "eurosat"), {"epochs": 100, "lr": 0.001, "eps": 1e-4, "batch_size": 256}),
    ("tip-adapter-f", ("few-shot", 16, "ucf101"), {"epochs": 20, "alpha": 3.0}),
    ("clap", ("few-shot", 16, "dtd"), {"lr": 0.1, "weight_decay": 0.0, "batch_size": 256, "epochs": 300, "views": 20}),
    ("clip-lora", ("few-shot", 16, "dtd"), {"lr": 2e-4, "steps_per_shot": 500, "rank": 2, "dropout": 0.25, "min_lr": 1e-6}),
]


@pytest.mark.parametrize(("name", "task", "expected"), OFFICIAL)
def test_official_settings(name, task, expected):
    protocol, shots, dataset = task
    (configuration,) = plan.configurations(METHODS, [name], [])
    actual = configuration.settings(METHODS[name].cls, "paper", TaskId(dataset, protocol, shots, 1))
    assert {key: actual[key] for key in expected} == expected


def test_what_the_user_changes_goes_before_the_presets():
    (configuration,) = plan.configurations(METHODS, ["coop"], ["coop.epochs=7", "coop.n_ctx=3"])
    for preset in ("paper", "small"):
        actual = configuration.settings(METHODS["coop"].cls, preset, TaskId("dtd", "few-shot", 1, 1))
        assert (actual["epochs"], actual["n_ctx"]) == (7, 3)


def test_an_alias_may_be_set():
    (configuration,) = plan.configurations(METHODS, ["clip-lora"], ["lora.rank=5"])
    assert configuration.settings(METHODS["clip-lora"].cls, "paper", TaskId("dtd", "few-shot", 1, 1))["rank"] == 5


@pytest.mark.parametrize(
    ("names", "among", "expected"),
    [
        (("b", "a"), ("a", "b", "c"), [1, 0]),
        (("a", "d"), ("a", "b"), None),
        (("missile", "x"), ("missile", "x", "missile"), [0, 1]),
        (("missile", "missile"), ("missile", "x", "missile"), [0, 2]),
        (("missile", "missile"), ("missile", "x"), None),
    ],
)
def test_columns_of_names_in_a_class_list(names, among, expected):
    """ "missile" is the name of two ImageNet classes: the first occurrence maps to the first."""
    assert columns_of(names, among) == expected
