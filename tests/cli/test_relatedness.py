"""``relatedness`` of two backbones, or of every upgrade."""

from __future__ import annotations


def lines(out: str) -> list[list[str]]:
    """The cells of the table's rows."""
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in out.splitlines() if line.startswith("│")]


def test_every_upgrade_of_the_yaml(cli):
    done = cli("relatedness")
    assert done.status == 0, done.err
    same, other = lines(done.out)
    assert same == ["native → native", "1.00", "1.00"]
    assert other[0] == "native → eva"
    assert all(-0.5 < float(cell) < 0.9 for cell in other[1:])


def test_two_by_name(cli, backbone_folders):
    done = cli("relatedness", "eva", f"local-dir:{backbone_folders['native']}")
    assert done.status == 0, done.err
    ((upgrade, *cells),) = lines(done.out)
    assert upgrade.startswith("eva → local-dir:")
    assert len(cells) == 2


def test_too_few_words_is_said(cli, monkeypatch):
    monkeypatch.setattr("benchmark.method.space_maps.FEWEST", 10_000)
    done = cli("relatedness", "native", "eva")
    assert done.status == 0, done.err
    assert lines(done.out) == [["native → eva", "-", "-"]]
    assert "native to eva: the two tokenizers share" in done.out


def test_mistakes(cli):
    done = cli("relatedness", "native")
    assert done.status == 2
    assert "one backbone is named (fix: name the old and the new one" in done.err
    done = cli("relatedness", "native", "evva")
    assert done.status == 2
    assert "relatedness evva: no such backbone in the YAML (fix: did you mean 'eva'?" in done.err
