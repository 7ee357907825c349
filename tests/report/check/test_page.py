"""The page of a check."""

from __future__ import annotations

import re

from fixtures.made_check import made

from benchmark.analysis.check.gate import judge, parse
from benchmark.analysis.check.values import LABELLED
from benchmark.report.check.page import page


def rows(text: str) -> dict[str, str]:
    """The states of the options by label."""
    table = re.search(r'<table class="options">.*?</table>', text, re.DOTALL)[0]
    return dict(re.findall(r'<th scope="row">(.*?)</th><td>(.*?)</td>', table))


def test_options_have_their_state(result):
    assert rows(page(result, [])) == {
        "no module, old&lt;b&gt;": "control",
        "stay on old&lt;b&gt;": "tied",
        "no module, new": "worse",
        "keep it on new": "advised",
        "both backbones": "tied",
        "retrain": "tied",
    }


def test_everything_is_escaped(result):
    text = page(result, [])
    assert "<b>" not in text.replace("<body", "")
    assert "<cat>" not in text
    assert "&lt;cat&gt;" in text


def test_what_must_be_known_is_at_the_top(result):
    text = page(result, [])
    for warning in ("toy weights", "check this"):
        assert f'<p class="warning" role="note">{warning}</p>' in text
        assert text.index(warning) < text.index('class="answer"')


def test_conditions_are_shown(result):
    outcomes = [judge(parse(text, LABELLED, ()), result.values, "keep") for text in ("lift < 0", "lift > 0")]
    found = re.findall(r'<li class="(\w+)"><strong>(\w+)</strong> <code>(.*?)</code>', page(result, outcomes))
    assert found == [("passed", "passed", "lift &lt; 0"), ("holds", "failed", "lift &gt; 0")]


def test_same_arguments_same_bytes():
    assert page(made(), []) == page(made(), [])


def test_it_loads_nothing(result):
    text = page(result, [])
    assert not re.search(r'(src|href)="(?!data:|#)', text)


def test_without_labels_it_has_values_alone():
    text = page(made(labelled=False), [])
    assert 'id="options"' not in text
    assert 'id="flips"' not in text
    assert "No verdict without labels." in text
