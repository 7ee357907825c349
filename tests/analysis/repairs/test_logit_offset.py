"""Its formula is tested in test_both.py; here the widths and the module may be any."""

from __future__ import annotations

import pytest
from fixtures.analyses import case_of, module_of

from benchmark.analysis.repairs.logit_offset import LogitOffset


@pytest.mark.parametrize("name", ["coop", "clip-lora", "cocoop", "tip-adapter-f"])
def test_every_module_allows_it(name, bench):
    case = case_of(bench, module_of(bench, name), "narrow")
    found = [LogitOffset().apply(case).scorer(test) for test in case.task.tests]
    assert any(each is not None for each in found)
