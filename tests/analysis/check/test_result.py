"""What a check has found, as a table and without labels."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fixtures.check import question

from benchmark.analysis.check.run import ask


@pytest.fixture(scope="module")
def found(bench):
    asked = question(bench, "coop")
    labels = []
    return asked, ask(asked, bench.store, labels.append), labels


def test_the_table_has_a_row_for_every_option(found):
    table = found[1].table
    assert list(table.name) == [option.name for option in found[1].options]
    assert table[table.reason == ""].accuracy.notna().all()
    assert table[table.reason != ""].accuracy.isna().all()


def test_without_labels_only_answers_are_compared(bench):
    result = ask(replace(question(bench, "coop"), labelled=False), bench.store)
    assert result.verdict is None
    assert set(result.values) == {"agreement", "zero_shot_agreement", "module_changes", "module_changes_old"}
    assert result.table.accuracy.isna().all()
