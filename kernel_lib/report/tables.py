"""Tables as CSV files that come back as they were: "null" stays a name, 0.1 stays 0.1."""

from __future__ import annotations

from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

# Text where an empty cell is missing, text that has no missing cell, only missing cells, numbers.
_TEXT, _WHOLE_TEXT, _NOTHING = "text", "text without gaps", "nothing"
_NUMBERS = tuple(
    ["bool", "float32", "float64"]
    + [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
)
_KINDS = (_TEXT, _WHOLE_TEXT, _NOTHING, *_NUMBERS, "")
_NO_NUMBER = ["", "nan", "NaN"]


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write a table as CSV; numbers keep all their digits."""
    table.to_csv(path, index=False, lineterminator="\n", encoding="utf-8", errors="surrogatepass")


def columns_of(table: pd.DataFrame) -> list[list[str]]:
    """Name and kind of each column, which a CSV file cannot say."""
    return [[str(name), _kind(table.iloc[:, at])] for at, name in enumerate(table.columns)]


def read_table(file: IO[bytes], columns: Any) -> pd.DataFrame:
    """Read what `write_table` wrote.

    Args:
        file: The CSV file, open for reading bytes.
        columns: What `columns_of` said of the table; None guesses, as for tables of older results.

    Raises:
        ValueError: If the file is damaged, or does not hold these columns.
    """
    import pandas as pd

    if columns is None:
        return pd.read_csv(file, **_exact())
    if not isinstance(columns, list) or not all(_is_column(each) for each in columns):
        raise ValueError("the columns of a table are not described as name and kind")
    kinds = dict(columns)
    if not kinds:
        return pd.DataFrame()
    table = pd.read_csv(
        file,
        dtype={name: kind if kind in _NUMBERS else str for name, kind in kinds.items() if kind},
        keep_default_na=False,
        na_values={name: _missing_marks(kind) for name, kind in kinds.items()},
        encoding="utf-8",
        encoding_errors="surrogatepass",
        lineterminator="\n",  # a carriage return alone belongs to a text
        skip_blank_lines=False,
        **_exact(),
    )
    if list(table.columns) != list(kinds):
        raise ValueError(f"its columns are {', '.join(table.columns)}, not {', '.join(kinds)}")
    for name in (name for name, kind in kinds.items() if kind == _NOTHING):
        table[name] = pd.Series([None] * len(table), dtype=object)
    return table


def _exact() -> dict[str, Any]:
    """What makes pandas read every digit of a number: a word for old versions, nothing for new."""
    import pandas as pd

    is_always_exact = tuple(map(int, pd.__version__.split(".")[:2])) >= (3, 1)
    return {} if is_always_exact else {"float_precision": "round_trip"}


def _missing_marks(kind: str) -> list[str]:
    """What stands for a missing value in a column of this kind."""
    return {_TEXT: [""], _WHOLE_TEXT: []}.get(kind, _NO_NUMBER)


def _kind(column: pd.Series) -> str:
    """The kind of a column; "" for what is left to be guessed, such as mixed ones."""
    from pandas.api.types import is_string_dtype

    if str(column.dtype) in _NUMBERS:
        return str(column.dtype)
    known = column.dropna()
    if not (is_string_dtype(column.dtype) or column.dtype == object):
        return ""
    if not len(known) and len(column):
        return _NOTHING if column.dtype == object else _TEXT
    if not all(isinstance(value, str) for value in known):
        return ""
    return _WHOLE_TEXT if len(known) == len(column) else _TEXT


def _is_column(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 2
        and isinstance(value[0], str)
        and value[1] in _KINDS
    )
