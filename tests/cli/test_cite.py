"""``cite``: the BibTeX of what a results folder contains."""

from __future__ import annotations

import pytest

from benchmark.method import registry

METHODS = registry.methods()


def test_cite_prints_what_a_report_contains(cli, tmp_path):
    (tmp_path / "results.csv").write_text("pair,method\na->b,coop\na->b,zero-shot\na->b,gone\n")
    done = cli("cite", f"--out={tmp_path}")
    assert done.status == 0
    assert done.out.count("@") == 5  # this suite, the question's paper, open_clip, CoOp, CLIP
    assert METHODS["coop"].cls.info.bibtex in done.out
    assert "clip-adapter" not in done.out.lower()
    assert "no method 'gone' is installed" in done.err


@pytest.mark.parametrize("content", [None, "a,b\n1,2\n", "\xff\xfe"])
def test_cite_without_results_is_one_line(cli, tmp_path, content):
    if content is not None:
        (tmp_path / "results.csv").write_text(content, encoding="latin-1")
    done = cli("cite", f"--out={tmp_path}")
    assert done.status == 2
    assert str(tmp_path / "results.csv") in done.err
    assert done.err.count("\n") == 1
