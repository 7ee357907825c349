"""The rule of the verdict, on predictions made up so that each case has one right answer."""

from __future__ import annotations

import numpy as np
import pytest

from benchmark.analysis.check.options import Option
from benchmark.analysis.check.verdict import candidates, decide
from benchmark.training.evaluation import Predictions

COUNT = 200


def option(kind, right, name=None, **more):
    """An option that is right on the first ``right`` of 200 images."""
    labels = np.ones(COUNT, dtype=int)
    predicted = (np.arange(COUNT) < right).astype(int)
    return Option(name or kind, name or kind, kind, Predictions(labels, predicted, np.full(COUNT, 0.5)), **more)


def verdict(*options):
    return decide(options, np.arange(COUNT))


def advised(*options):
    return verdict(*options).choice.name


def test_of_what_costs_nothing_the_better_is_taken():
    assert advised(option("keep", 110), option("discard", 100)) == "keep"
    assert advised(option("keep", 100), option("discard", 110)) == "discard"
    assert advised(option("keep", 100), option("discard", 100)) == "discard"


def test_a_costlier_option_must_be_clearly_better():
    plain = option("keep", 110), option("discard", 100), option("stay", 80)
    assert advised(*plain, option("retrain", 112)) == "keep"
    assert advised(*plain, option("retrain", 130)) == "retrain"
    assert advised(option("keep", 60), option("discard", 100), option("stay", 130)) == "stay"


def test_each_step_up_must_pay_for_itself():
    """Retraining is better than keeping, but not than the repair, which is cheaper."""
    options = option("keep", 80), option("discard", 60), option("repair", 110), option("retrain", 113)
    assert advised(*options) == "repair"
    told = verdict(*options)
    assert [o.name for o in told.tied] == ["retrain"]
    assert [o.name for o in told.worse] == ["keep", "discard"]


def test_without_a_module_that_fits_the_others_remain():
    gone = Option("keep", "keep", "keep", reason="another width")
    told = verdict(gone, option("discard", 100), option("stay", 102))
    assert (told.choice.name, told.lift, told.helps) == ("discard", None, "incompatible")


@pytest.mark.parametrize(("keep", "helps"), [(130, "helps"), (70, "harms"), (103, "undecided"), (97, "undecided")])
def test_what_the_module_does(keep, helps):
    assert verdict(option("keep", keep), option("discard", 100)).helps == helps


def test_no_effect_takes_many_images():
    labels = np.ones(4000, dtype=int)
    same = Predictions(labels, np.arange(4000) % 2)
    told = decide([Option("keep", "", "keep", same), Option("discard", "", "discard", same)], np.arange(4000))
    assert told.helps == "no effect"


def test_one_repair_stands_for_all():
    """The best on held-out images, though another is luckier on the test images; controls take no part."""
    repairs = [
        option("repair", 150, "lucky", held_out=50.0),
        option("repair", 120, "good", held_out=60.0),
        option("repair", 190, "control", held_out=99.0, control=True),
        option("both", 130, "two", held_out=55.0),
    ]
    chosen = candidates([option("keep", 100), option("discard", 100), option("reference", 199), *repairs])
    assert [o.name for o in chosen] == ["keep", "discard", "good", "two"]


def test_without_held_out_images_a_trusted_repair_is_taken():
    repairs = [option("repair", 150, "cheap"), option("repair", 120, "known", trusted=True)]
    assert candidates([option("discard", 100), *repairs])[-1].name == "known"
    assert candidates([option("discard", 100), repairs[0]])[-1].name == "cheap"
