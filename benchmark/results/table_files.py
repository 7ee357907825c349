"""Tables as CSV files, written the same on every machine and checked when they are read; and as Parquet, for other tools."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pandas as pd

from benchmark.config.errors import UserError
from benchmark.results.legacy import modernise


def csv_content(table: pd.DataFrame) -> bytes:
    """A table with fixed number format and line ends."""
    buffer = io.StringIO()
    table.to_csv(buffer, index=False, lineterminator="\n", quoting=csv.QUOTE_MINIMAL)
    return buffer.getvalue().encode()


def parquet_content(table: pd.DataFrame) -> bytes | None:
    """The same table as Parquet, with types and a tenth of the size; None without the extra ``parquet``."""
    if find_spec("pyarrow") is None:
        return None
    buffer = io.BytesIO()
    table.to_parquet(buffer, engine="pyarrow", index=False)
    return buffer.getvalue()


def read_parquet(
    content: bytes,
    columns: Sequence[str],
    *,
    numbers: Collection[str] = (),
    integers: Collection[str] = (),
    defaults: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """The table that ``parquet_content`` made; arguments and errors are those of ``read_csv``.

    Raises:
        UserError: pyarrow is not installed.
    """
    require_pyarrow()
    import pyarrow
    from pyarrow import parquet

    try:
        table = parquet.read_table(io.BytesIO(content)).to_pandas(ignore_metadata=True)
    except (pyarrow.ArrowException, OSError) as error:
        raise ValueError(f"it is not Parquet: {error}") from error
    for name in table.columns.difference([*numbers, *integers]):
        if not table[name].map(lambda value: isinstance(value, str)).all():
            raise ValueError(f"column {name!r} has a value that is not a text")
    return _checked(table, columns, numbers=numbers, integers=integers, defaults=defaults)


def require_pyarrow() -> None:
    """Check that Parquet can be read and written.

    Raises:
        UserError: pyarrow is not installed.
    """
    if find_spec("pyarrow") is None:
        what = "packs hold Parquet files, which need the package pyarrow"
        raise UserError(what, fix="pip install pyarrow, or install the extra 'parquet'")


def read_csv(
    file: Path | BinaryIO,
    columns: Sequence[str],
    *,
    numbers: Collection[str] = (),
    integers: Collection[str] = (),
    flags: Collection[str] = (),
    defaults: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Read a table, also one with the names of an earlier version.

    Args:
        file: The CSV.
        columns: Those that it must have.
        numbers: Columns of finite numbers; an empty field is NaN.
        integers: Columns of integers without empty fields.
        flags: Columns of True and False. All other columns are texts.
        defaults: Fields of columns that an earlier version did not write.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not such a table; says why.
    """
    table = pd.read_csv(file, dtype=str, keep_default_na=False, na_filter=False)
    if not isinstance(table.index, pd.RangeIndex):
        raise ValueError("a row has more fields than there are columns")
    return _checked(table, columns, numbers=numbers, integers=integers, flags=flags, defaults=defaults)


def _checked(
    table: pd.DataFrame,
    columns: Sequence[str],
    *,
    numbers: Collection[str],
    integers: Collection[str],
    flags: Collection[str] = (),
    defaults: Mapping[str, str] | None,
) -> pd.DataFrame:
    """The table with the current names, its columns checked and of their types."""
    table = modernise(table)
    for name, value in (defaults or {}).items():
        if name not in table:
            table[name] = value
    absent = [column for column in columns if column not in table]
    if absent:
        raise ValueError(f"no column {absent[0]!r}")
    for name in (*numbers, *integers):
        if name not in table:
            continue
        values = pd.to_numeric(table[name].replace("", None))
        if np.isinf(values.astype(float)).any() or (name in integers and len(values) and values.dtype.kind != "i"):
            raise ValueError(f"column {name!r} has a value that is not {'an integer' if name in integers else 'finite'}")
        table[name] = values
    for name in flags:
        if not table[name].isin(["True", "False"]).all():
            raise ValueError(f"column {name!r} has a value that is neither True nor False")
        table[name] = table[name] == "True"
    return table
