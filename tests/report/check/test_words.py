"""The sentences of a check."""

from __future__ import annotations

import pytest
from fixtures.made_check import made

from benchmark.report.check.words import cell, difference, headline, not_applicable, rate, sentences
from benchmark.results.image_intervals import Measured


def test_differences_and_rates_have_their_interval():
    assert difference(Measured(1.25, -0.5, 3)) == "+1.2 points [\N{MINUS SIGN}0.5, +3.0]"
    assert rate(Measured(50, 40.04, 60)) == "50.0 % [40.0, 60.0]"
    assert cell(None) == cell(Measured(float("nan"))) == "\N{EN DASH}"


@pytest.mark.parametrize(
    ("counts", "start"),
    [
        ({"keep": (18, 18, 20), "retrain": (18, 18, 20)}, "Keep the module on new."),
        ({"keep": (2, 2, 2), "retrain": (2, 2, 2)}, "Stay on old<b> with the module."),
        ({"keep": (2, 2, 2), "retrain": (20, 20, 20)}, "Retrain the module on new."),
    ],
)
def test_headlines(counts, start):
    assert headline(made(counts["keep"], retrain=counts["retrain"])).startswith(start)


def test_what_it_rests_on(result):
    told = " ".join(sentences(result))
    assert "Its accuracy is 80.0 % on 60 test images." in told
    assert "compared with no module" in told
    assert "On new the module helps: +20.0 points" in told


def test_harm_is_said():
    assert "On new the module harms: \N{MINUS SIGN}50.0 points" in " ".join(sentences(made((2, 2, 2))))


def test_an_open_question_says_how_many_images_would_do():
    told = " ".join(sentences(made((13, 13, 12))))
    assert "Whether the module helps on new is undecided" in told
    assert "test images would decide" in told


def test_repairs_that_do_not_apply(result):
    assert not_applicable(result) == [
        "\N{LEFT DOUBLE QUOTATION MARK}ridge map\N{RIGHT DOUBLE QUOTATION MARK}: it has no vectors"
    ]


def test_without_labels(result):
    blind = made(labelled=False)
    assert headline(blind) == "No verdict without labels."
    assert "tell what changes, not what is right" in sentences(blind)[0]
    assert sentences(blind)[-1].startswith("The lift is not forecast: ")
