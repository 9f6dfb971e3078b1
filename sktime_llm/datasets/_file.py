"""The rows of a CSV or Parquet file as they are, and how to speak of them."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np
import pandas as pd

from sktime_llm.errors import InputError


@dataclass(frozen=True)
class TableFile:
    """Rows of a file, numbered from 0, and the names that a person knows them by."""

    frame: pd.DataFrame
    name: str
    row_word: str
    first_row: int

    @classmethod
    def open(cls, path: Path) -> "TableFile":
        """Read a file by its suffix; cells of CSV files stay text."""
        suffix = path.suffix.lower()
        if suffix not in (".csv", ".parquet"):
            raise InputError(
                f"Cannot tell how to read {str(path)!r}: got the suffix {suffix!r}, "
                f"expected .csv or .parquet. Save the table as one of these."
            )
        if not path.is_file():
            raise InputError(
                f"There is no file {str(path)!r}. Check the path; relative paths start "
                f"at {str(Path.cwd())!r}."
            )
        is_csv = suffix == ".csv"
        frame = _read_csv(path) if is_csv else _read_parquet(path)
        if frame.empty:
            raise InputError(
                f"{path.name} has no data rows; expected column names and at least one "
                f"row of values."
            )
        frame = frame.reset_index(drop=True)
        return cls(frame, path.name, *(("line", 2) if is_csv else ("row", 1)))

    def row(self, position: int) -> str:
        """Name a row the way a person finds it in the file, counted from 1."""
        return f"{self.row_word} {self.first_row + position}"

    def fail(self, column: str, position: int, problem: str) -> NoReturn:
        """Raise an error about one cell."""
        raise InputError(
            f"{self.name}, {self.row(position)}, column {column!r}: {problem}"
        )

    def require(self, column: str, role: str) -> None:
        """Raise an error that lists the columns if one is not there."""
        if column in self.frame.columns:
            return
        present = [str(name) for name in self.frame.columns]
        hint = ""
        if len(present) == 1 and any(mark in present[0] for mark in ";\t|"):
            hint = " The columns of a CSV file must be separated by commas."
        raise InputError(
            f"{self.name} has no column {column!r} (the {role}); its columns are "
            f"{', '.join(map(repr, present))}.{hint}"
        )

    def texts(self, column: str) -> pd.Series:
        """Return a column as text without blanks around it; no cell may be empty."""
        cells = self.frame[column]
        texts = cells.astype("object").map(str).str.strip()
        missing = cells.isna() | (texts == "")
        if missing.any():
            self.fail(
                column,
                int(missing.idxmax()),
                "the cell is empty, expected a value. Fill it in or remove the row.",
            )
        return texts


def _read_csv(path: Path) -> pd.DataFrame:
    malformed = (
        pd.errors.ParserError,
        pd.errors.ParserWarning,
        UnicodeDecodeError,
    )
    try:
        with warnings.catch_warnings():
            # A row with too many cells is only a warning with index_col=False.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            frame = pd.read_csv(
                path, dtype="str", index_col=False, skip_blank_lines=False
            )
    except pd.errors.EmptyDataError:
        return pd.DataFrame()
    except malformed as error:
        raise InputError(
            f"{path.name} is not a table in CSV with UTF-8 characters: {error}. Every "
            f"line needs as many cells, separated by commas, as the header."
        ) from error
    filled = np.flatnonzero(frame.notna().any(axis=1))
    return frame.iloc[: filled[-1] + 1] if len(filled) else frame.iloc[:0]


def _read_parquet(path: Path) -> pd.DataFrame:
    try:
        frame = pd.read_parquet(path)
    except ImportError as error:
        raise ImportError(
            f"Reading {path.name} needs pyarrow. Install it with "
            f"`pip install sktime-llm[baselines]`, or save the table as CSV."
        ) from error
    except (OSError, ValueError) as error:  # what pyarrow raises derives from these
        raise InputError(f"{path.name} is not a Parquet file: {error}") from error
    named = [name for name in frame.index.names if name is not None]
    return frame.reset_index(named) if named else frame
