"""``new-method``: the skeleton works, and nothing is overwritten."""

from __future__ import annotations

import pytest

from benchmark.method import registry


@pytest.mark.parametrize("name", ["mine", "my-new-adapter2"])
def test_a_new_method_works_and_keeps_the_contract(cli, tmp_path, name):
    assert cli("new-method", name, f"--folder={tmp_path}").status == 0
    assert registry.methods_in(tmp_path).plugins.keys() == {name}
    done = cli("check-method", name, f"--folder={tmp_path}")
    assert done.status == 0, done.out
    assert "all checks passed" in done.out


@pytest.mark.parametrize(
    ("name", "words"),
    [("Mine", "invalid name for a method"), ("a--b", "invalid name"), ("coop", "already"), ("9lives", "invalid name")],
)
def test_a_bad_name_is_refused(cli, tmp_path, name, words):
    done = cli("new-method", name, f"--folder={tmp_path}")
    assert done.status == 2
    assert words in done.err
    assert done.err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten(cli, tmp_path):
    (tmp_path / "mine.py").write_text("x = 1")
    done = cli("new-method", "mine", f"--folder={tmp_path}")
    assert done.status == 2
    assert "exists" in done.err
    assert (tmp_path / "mine.py").read_text() == "x = 1"
    refused = cli("new-method", "mine", f"--folder={tmp_path}/mine.py/below")
    assert refused.status == 2
    assert "cannot be written" in refused.err
    assert cli("new-method", "mine", f"--folder={tmp_path}/absent").status == 0
    assert (tmp_path / "absent" / "mine.py").is_file()
