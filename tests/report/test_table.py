"""One table, four forms: the page, CSV, Markdown and LaTeX have the same columns and values."""

from __future__ import annotations

import csv
import io
import math

import pytest
from fixtures.results import Page

from benchmark.report import export
from benchmark.report.numbers import DASH
from benchmark.report.table import Column, Interval, Listing, Share, Table, Text, simple
from benchmark.report.templating import environment

NAN = math.nan
HELPS = Text("helps", lift=Interval(1.0))
TABLE = Table(
    "t",
    (
        Column("Method", numeric=False, key=True),
        Column("H", "Old"),
        Column("Lift", "Compared", interval=True, file_heading="Lift"),
        Column("Retained", "Compared", file_heading="Retained"),
        Column("a → b", verdict=True),
        Column("Count", digits=0),
    ),
    (
        (
            "one",
            61.25,
            Interval(-2.345, -3.345, -1.345),
            Share(Interval(0.5, 0.25, 0.75)),
            Text("helps", lift=Interval(1.0)),
            3.0,
        ),
        ("two", NAN, Interval(0.5), Share(Interval()), Text("incompatible", lift=Interval()), 1234.0),
        ("three", -0.04, Interval(-0.04, -0.14, 0.06), Share(Interval()), "", 0.0),
    ),
    (("zero", 50.0, Interval(), Share(Interval()), "", 1.0),),
    group_titles={"Old": "Old, on v1"},
)
HEADER = ["Method", "Old H", "Lift", "Lift ±", "Retained", "a->b", "a->b ±", "a->b verdict", "Count"]
ROWS = [
    ["zero", "50.0", "", "", "", "", "", "", "1"],
    ["one", "61.2", "-2.3", "1.0", "50 % (25 to 75)", "1.0", "", "helps", "3"],
    ["two", "", "0.5", "", "", "", "", "incompatible", "1234"],
    ["three", "0.0", "0.0", "0.1", "", "", "", "", "0"],
]


def ascii_signs(cell: str) -> str:
    """A cell of Markdown or LaTeX as the CSV writes it."""
    for sign, plain in (("$-$", "-"), ("−", "-"), (" $\\rightarrow$ ", "->"), (" → ", "->"), ("$\\pm$", "±"), (r"\%", "%")):
        cell = cell.replace(sign, plain)
    return "" if cell in (DASH, "--") else cell


def test_csv_has_ascii_signs_and_rounded_numbers() -> None:
    header, *rows = csv.reader(io.StringIO(export.csv(TABLE)))
    assert header == HEADER
    assert rows == ROWS


def test_markdown_and_latex_have_the_columns_and_values_of_the_csv() -> None:
    markdown = [
        [ascii_signs(cell.strip()) for cell in line.strip("|\n").split(" | ")]
        for line in export.markdown_table(TABLE).splitlines()
    ]
    assert [markdown[0], *markdown[2:]] == [HEADER, *ROWS]
    lines = [line.removesuffix(r" \\") for line in export.latex(TABLE).splitlines() if line.endswith(r"\\")]
    assert [[ascii_signs(cell.strip()) for cell in line.split("&")] for line in lines] == [HEADER, *ROWS]


def test_page_has_the_values_of_the_csv() -> None:
    template = environment().from_string('{% import "macros.html.j2" as m with context %}{{ m.grid(table, "name") }}')
    (rows,) = Page(template.render(table=TABLE, about=None)).tables
    assert rows[0] == ["", "Old, on v1", "Compared", ""]
    assert rows[1] == [column.heading for column in TABLE.columns]
    assert rows[2:] == [
        ["zero", "50.0", DASH, DASH, "", "1"],
        ["one", "61.2", "−2.3 ± 1.0", "50 %25 to 75", "+1.0 helps", "3"],
        ["two", DASH, "+0.5", DASH, "incompatible", "1234"],
        ["three", "0.0", "0.0 ± 0.1", DASH, "", "0"],
    ]


def test_groups_span_their_columns() -> None:
    assert TABLE.groups == [("", 1), ("Old, on v1", 1), ("Compared", 2), ("", 2)]
    assert simple("t", ("a", "b"), [("x", 1.0)]).groups == []


@pytest.mark.parametrize(("heading", "name"), [("H", "Old H"), ("Base", "Old base"), ("Zero-shot", "Old zero-shot")])
def test_a_file_puts_the_group_before_the_heading(heading: str, name: str) -> None:
    assert Column(heading, "Old").name == name
    assert Column(heading).name == heading


def test_a_simple_table_knows_its_numeric_columns() -> None:
    table = simple("t", ("text", "number", "mixed"), [("x", 1.0, "y"), ("z", 2.0, 3.0)])
    assert [column.numeric for column in table.columns] == [False, True, True]


def test_filters_choose_rows_by_method_upgrade_and_data_set() -> None:
    table = simple("t", ("Upgrade", "Method", "Trained on", "H"), [("a → b", "m", "icons", 1.0)])
    assert table.attributes(table.rows[0]) == {"pair": "a → b", "method": "m", "dataset": "icons"}
    assert table.attributes(table.rows[0], baseline=True) == {"pair": "a → b", "dataset": "icons"}


def test_a_listing_is_one_cell_of_a_file_and_one_line_for_each_text_of_a_filter() -> None:
    columns = (Column("Methods", numeric=False), Column("Reasons", numeric=False))
    table = Table("t", columns, ((Listing(("a (lr=1,steps=2)", "b")), Listing(("x", "<y>"), "2 reasons", "; ")),))
    assert table.attributes(table.rows[0]) == {"method": "a (lr=1,steps=2)\nb"}
    assert export.csv(table).splitlines()[1] == '"a (lr=1,steps=2), b",x; <y>'
    source = '{% import "macros.html.j2" as m %}{{ m.grid(table, "t") }}'
    page = environment().from_string(source).render(table=table, about=None)
    assert "<details><summary>2 reasons</summary><ul><li>x</li><li>&lt;y&gt;</li></ul></details>" in page
    assert ">a (lr=1,steps=2), b</td>" in page
