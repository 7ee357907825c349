"""``check-method``: what is wrong with a method, in words that say what to fix."""

from __future__ import annotations

from benchmark.training.checks import contract


def test_check_method_says_what_to_fix(cli, tmp_path):
    cli("new-method", "mine", f"--folder={tmp_path}")
    file = tmp_path / "mine.py"
    file.write_text(file.read_text().replace('parameters="d"', 'parameters="2 * d"'))
    done = cli("check-method", "mine", f"--folder={tmp_path}")
    assert done.status == 1
    assert "info.parameters gives 64, but there are 32" in " ".join(done.out.replace("│", " ").split())
    assert f"1 of {len(contract.CHECKS)} checks failed" in done.out
    file.write_text("import nothing_such")
    broken = cli("check-method", "mine", f"--folder={tmp_path}")
    assert broken.status == 2
    assert "ModuleNotFoundError" in broken.err
