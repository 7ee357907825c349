"""A table is read as it was written, or refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from benchmark.config.errors import UserError
from benchmark.results.table_files import csv_content, parquet_content, read_csv, read_parquet

TABLE = pd.DataFrame({"method": ["1", "", "a,b"], "value": [0.5, np.nan, 2.0], "seed": [1, 2, 3]})
FLAGGED = "method,value,seed,full\na,1,1,"


def read(file):
    return read_csv(file, list(TABLE.columns), numbers=("value",), integers=("seed",))


def test_it_comes_back(tmp_path):
    """Texts stay texts, whatever they look like; an empty number is NaN."""
    (tmp_path / "x.csv").write_bytes(csv_content(TABLE))
    pd.testing.assert_frame_equal(read(tmp_path / "x.csv"), TABLE)
    assert (tmp_path / "x.csv").read_bytes() == b'method,value,seed\n1,0.5,1\n,,2\n"a,b",2.0,3\n'


def test_an_empty_table_comes_back(tmp_path):
    (tmp_path / "x.csv").write_bytes(csv_content(TABLE[:0]))
    assert list(read(tmp_path / "x.csv").columns) == list(TABLE.columns)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("method,value\na,1\n", "no column 'seed'"),
        ("method,value,seed\na,high,1\n", "high"),
        ("method,value,seed\na,inf,1\n", "column 'value' has a value that is not finite"),
        ("method,value,seed\na,1,1.5\n", "column 'seed' has a value that is not an integer"),
        ("method,value,seed\na,1,\n", "column 'seed' has a value that is not an integer"),
        ("method,value,seed\na,1,1,1,1\n", "more fields"),
        ("", "No columns"),
    ],
)
def test_what_is_no_such_table_is_refused(text, words, tmp_path):
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(ValueError, match=words):
        read(tmp_path / "x.csv")


def test_flags_are_true_or_false(tmp_path):
    (tmp_path / "x.csv").write_text(f"{FLAGGED}True\n")
    assert read_csv(tmp_path / "x.csv", ["full"], flags=("full",)).full.tolist() == [True]
    (tmp_path / "x.csv").write_text(f"{FLAGGED}yes\n")
    with pytest.raises(ValueError, match="neither True nor False"):
        read_csv(tmp_path / "x.csv", ["full"], flags=("full",))


def test_parquet_has_the_same_table(tmp_path):
    pytest.importorskip("pyarrow")
    file = tmp_path / "x.parquet"
    file.write_bytes(parquet_content(TABLE))
    pd.testing.assert_frame_equal(pd.read_parquet(file), TABLE, check_dtype=False)
    assert parquet_content(TABLE) == file.read_bytes(), "the same bytes again"


def test_without_pyarrow_there_is_none(monkeypatch):
    monkeypatch.setattr("benchmark.results.table_files.find_spec", lambda name: None)
    assert parquet_content(TABLE) is None


def test_parquet_comes_back_with_the_types_of_a_csv(tmp_path):
    pytest.importorskip("pyarrow")
    (tmp_path / "x.csv").write_bytes(csv_content(TABLE))
    loaded = read_parquet(parquet_content(TABLE), list(TABLE.columns), numbers=("value",), integers=("seed",))
    pd.testing.assert_frame_equal(loaded, read(tmp_path / "x.csv"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"method": [1, 2, 3]}, "column 'method' has a value that is not a text"),
        ({"method": [None, "a", "b"]}, "column 'method' has a value that is not a text"),
        ({"value": [0.0, 1.0, np.inf]}, "column 'value' has a value that is not finite"),
        ({"seed": [0.5, 1.0, 2.0]}, "column 'seed' has a value that is not an integer"),
        ({"seed": ["a", "b", "c"]}, "Unable to parse"),
    ],
)
def test_parquet_that_is_no_such_table_is_refused(change, words):
    pytest.importorskip("pyarrow")
    with pytest.raises(ValueError, match=words):
        read_parquet(parquet_content(TABLE.assign(**change)), list(TABLE.columns), numbers=("value",), integers=("seed",))
    with pytest.raises(ValueError, match="it is not Parquet"):
        read_parquet(b"PAR1", [])


def test_without_pyarrow_no_parquet_is_read(monkeypatch):
    monkeypatch.setattr("benchmark.results.table_files.find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install pyarrow"):
        read_parquet(b"", [])
