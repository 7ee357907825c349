"""The registry of analyses."""

from __future__ import annotations

import pytest

from benchmark.analysis.base import all_analyses, find_analysis
from benchmark.config.errors import UserError


def test_those_that_explain_come_first():
    assert set(all_analyses()) >= {"drift", "depth", "checkpoints", "break-even", "repair"}
    explains = [analysis.explains for analysis in all_analyses().values()]
    assert explains == sorted(explains, reverse=True)


@pytest.mark.parametrize("name", all_analyses())
def test_every_analysis_describes_itself(name):
    analysis = find_analysis(name)
    assert analysis.name == name
    assert analysis.question.endswith("?")
    assert analysis.title
    assert len(set(analysis.columns)) == len(analysis.columns) > 0


def test_a_misspelt_name_is_corrected():
    with pytest.raises(UserError, match="unknown analysis 'drfit'") as caught:
        find_analysis("drfit")
    assert "drift" in str(caught.value.fix)
