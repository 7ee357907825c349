"""The pages of a leaderboard."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from fixtures.packs import BACKBONES, made
from fixtures.results import EVIL, WARNING, Page

from benchmark.report.site.pages import render, write
from benchmark.report.site.sources import Source
from benchmark.results.archive import RunResults

HEADINGS = ["Method", "Ranks", "Verdict", "Lift", "Base", "New", "H", "Retrain", "Packs"]


def sources(**runs: RunResults) -> list[Source]:
    return [Source(f"{name}.pack", name * 64, replace(run, folder=Path(f"{name}.pack"))) for name, run in runs.items()]


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    """Two packs that agree, one that contradicts them, and one of a GPU."""
    other = made("prompt")
    other = replace(other, results=other.results.assign(value=other.results.value + 1))
    return render(sources(a=made("prompt", "prompt-b"), b=made("adapter"), c=other, d=made("prompt", device="cuda:0")))


def upgrade_page(pages: dict[str, str], stem: str) -> str:
    return next(text for name, text in pages.items() if name.startswith(stem))


def rows_of(text: str) -> list[list[list[str]]]:
    """The rows of the leaderboards of a page."""
    whole = re.sub(r'<tr class="cells">.*?</details></td></tr>', "", text, flags=re.DOTALL)
    return Page(whole).rows(*HEADINGS)


def test_the_index_links_every_table(pages: dict[str, str]) -> None:
    assert next(iter(pages)) == "index.html"
    targets = re.findall(r'href="([^"#]+\.html)(?:#([\w-]+))?"', pages["index.html"])
    assert {name for name, _ in targets} == set(pages) - {"index.html"}
    for name, anchor in targets:
        assert not anchor or f'id="{anchor}"' in pages[name]


def test_every_table_has_its_packs_ranks_and_verdicts(pages: dict[str, str]) -> None:
    tables = rows_of(upgrade_page(pages, "v1-v2"))
    assert [[row[0] for row in table] for table in tables] == [
        ["zero", "prompt", "prompt-b", "adapter"],
        ["zero", "prompt"],
        ["zero", "prompt"],
    ]
    by_method = {row[0]: row for row in tables[0]}
    assert by_method["zero"][1:3] == ["–", "baseline"]
    assert by_method["zero"][-1] == "a.pack and b.pack"
    assert by_method["prompt"][1] == by_method["prompt-b"][1] == "1 to 2tied with the best"
    assert by_method["adapter"][1:3] == ["3not tied", "harms"]
    assert re.fullmatch(r"\+5\.\d ± \d\.\d|\+6\.\d ± \d\.\d", by_method["prompt"][3])


def test_conflicts_and_devices_are_named_on_both_pages(pages: dict[str, str]) -> None:
    for text in (pages["index.html"], upgrade_page(pages, "v1-v2")):
        assert "c.pack has a separate table: " in text
        assert "values differ between a.pack and c.pack" in text
        assert "Values of cpu and cuda are not comparable" in text


def test_every_row_opens_to_its_cells_and_commands(pages: dict[str, str]) -> None:
    text = upgrade_page(pages, "v1-v2")
    assert text.count('<tr class="cells"><td colspan="9"><details>') == 8
    assert "6 cells of prompt<" in text
    assert "12 cells of zero<" in text
    assert "--methods adapter --datasets icons --protocols base-to-new --seeds 3 --shots 16 --device cpu" in text
    assert "From a.pack: device cpu, torch 2.9, method version 1, file feedfacefeed, training" in text
    assert "model: bundled:v2" in text


def test_the_reason_of_a_missing_cell_is_shown(pages: dict[str, str]) -> None:
    assert "reuse: incompatible, needs 128, has &lt;96&gt;" in upgrade_page(pages, "v1-v5")


def test_notes_of_runs_are_on_every_page(pages: dict[str, str]) -> None:
    for text in pages.values():
        assert "Toy numbers &amp; nothing &lt;else&gt;." in text
        assert WARNING not in text


def test_nothing_is_loaded_and_nothing_of_a_pack_is_markup() -> None:
    bad = [{**backbone, "title": EVIL, "model": EVIL} for backbone in BACKBONES]
    run = made("prompt", backbones=bad, command=EVIL, machine={EVIL: EVIL}, device=EVIL, warning=EVIL)
    for text in render([Source(EVIL, EVIL, run)]).values():
        assert EVIL not in text
        assert "&lt;script&gt;alert(2)" in text
        assert not re.search(r"(src|href)=\"?(https?:)?//", text)


def test_upgrades_of_one_name_with_other_weights_are_told_apart() -> None:
    changed = [{**backbone, "digest": "9" * 64} if backbone["name"] == "v2" else backbone for backbone in BACKBONES]
    pages = render(sources(a=made("prompt"), b=made("prompt", backbones=changed)))
    assert len([name for name in pages if name.startswith("v1-v2-")]) == 2
    assert "Another upgrade is called v1 → v2 too; its backbones have other weights (111111111111 → 999999999999)." in (
        upgrade_page(pages, "v1-v2")
    )


def test_the_same_packs_give_the_same_bytes(tmp_path: Path) -> None:
    first = write(tmp_path / "x", sources(a=made("prompt")))
    again = write(tmp_path / "y", sources(a=made("prompt")))
    assert [file.name for file in first] == [file.name for file in again]
    assert [file.read_bytes() for file in first] == [file.read_bytes() for file in again]


def test_without_conflicts_the_index_says_so() -> None:
    assert "No pack contradicts another one." in render(sources(a=made("prompt")))["index.html"]
