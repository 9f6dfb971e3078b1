"""The cells of a CSV or Parquet file, and what users call its rows."""

import bz2
import codecs
import gzip
import itertools
import lzma
import re
import shlex
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pandas as pd

from sktime_llm.errors import InputError, MissingPackageError

_SEPARATORS = (",", ";", "\t", "|")
_TEXTS = (".csv", ".tsv", ".txt")
_OPENERS: dict[str, Callable[..., Any]] = {
    ".gz": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
}

Columns = str | Sequence[str] | None

# Lines in which the column names are looked for, to suggest options in an error.
_MAX_HEADER_LINES = 20
_MAX_NAMES = 10


@dataclass(frozen=True)
class Source:
    """Rows of a file, numbered from 0, and how to name them in messages."""

    frame: pd.DataFrame
    name: str
    row_word: str
    first_row: int
    unnamed: frozenset[object] = frozenset()

    def row(self, position: int) -> str:
        """Name a row as users find it in the file, such as line 2."""
        return f"{self.row_word} {self.first_row + position}"

    def fail(self, column: object, position: int, problem: str) -> NoReturn:
        """Raise an error about one cell."""
        where = f"{self.name}, {self.row(position)}, column {column!r}"
        raise InputError(f"{where}: {problem}")

    def find(self, columns: Columns, role: str) -> list[object]:
        """Return the names of columns as they are in the file, which may be numbers."""
        names = {str(name): name for name in self.frame.columns}
        wanted = [columns] if isinstance(columns, (str, int)) else columns or []
        for column in wanted:
            if str(column) not in names:
                raise InputError(
                    f"{self.name} has no column {column!r} (the {role}); its columns "
                    f"are {', '.join(map(repr, names.values()))}."
                )
        return [names[str(column)] for column in wanted]

    def texts(self, column: object) -> pd.Series:
        """Return the cells of a column as text; none may be empty."""
        cells = self.frame[column]
        texts = cells.astype("object").map(str)
        empty = cells.isna() | (texts.str.strip() == "")
        if empty.any():
            problem = "the cell is empty. Fill it in or remove the row."
            self.fail(column, int(empty.argmax()), problem)
        return texts


def listed(names: Sequence[object]) -> str:
    """Return the first ten names and how many more there are, in words."""
    more = len(names) - _MAX_NAMES
    first = ", ".join(map(str, names[:_MAX_NAMES]))
    return f"{first} and {more} more" if more > 0 else first


def require_file(path: str | Path) -> Path:
    """Return the path of a file, which must exist."""
    path = Path(path)
    if not path.is_file():
        raise InputError(
            f"There is no file {str(path)!r}, and nothing is downloaded. Relative "
            f"paths start at {str(Path.cwd())!r}."
        )
    return path


def open_source(
    path: Path, separator: str, skip_rows: int, time_column: object
) -> Source:
    """Read a file by its suffix; the cells of a text file stay text."""
    suffix = path.suffix.lower()
    is_compressed = suffix in _OPENERS
    inner = Path(path.stem).suffix.lower() if is_compressed else suffix
    if inner not in _TEXTS and suffix != ".parquet":
        raise InputError(
            f"Cannot tell how to read {str(path)!r} from its suffix {suffix!r}; "
            f"expected .csv, .tsv, .txt, one of them compressed as in .csv.gz, or "
            f".parquet."
        )
    require_file(path)
    if suffix == ".parquet":
        if separator != "," or skip_rows:
            raise InputError(
                f"{path.name} is a Parquet file; a separator and rows to skip are of "
                "text files. Leave them out."
            )
        source = _read_parquet(path)
    else:
        separator = separator.replace("\\t", "\t")
        source = _read_text(path, separator, skip_rows, str(time_column))
    if source.frame.empty:
        raise InputError(
            f"{path.name} has no data rows; expected column names and at least one row."
        )
    return source


def _read_text(path: Path, separator: str, skip_rows: int, time_column: str) -> Source:
    text = _decode(path)
    try:
        cells = pd.read_csv(
            StringIO(text),
            sep=separator,
            skiprows=skip_rows,
            header=None,
            dtype="str",
            keep_default_na=False,
            skip_blank_lines=False,
        ).fillna("")
    except pd.errors.EmptyDataError:
        cells = pd.DataFrame([[""]])
    except (pd.errors.ParserError, ValueError, re.error) as error:
        _check_header(path.name, text, separator, skip_rows, time_column)
        raise InputError(
            f"{path.name} is not a table: {error}. Every line needs as many cells, "
            f"separated by {separator!r}, as the header in line {skip_rows + 1}."
        ) from error
    header = cells.iloc[0].str.strip()
    if time_column not in header.tolist():
        _check_header(path.name, text, separator, skip_rows, time_column)
    unnamed = header == ""
    header = header.mask(unnamed, [f"Unnamed: {i}" for i in range(len(header))])
    if header.duplicated().any():
        name = header[header.duplicated()].iloc[0]
        raise InputError(f"{path.name} has two columns {name!r}; rename one of them.")
    frame = cells.iloc[1:].set_axis(header.tolist(), axis=1)
    filled = np.flatnonzero((frame != "").any(axis=1))
    frame = frame.iloc[: filled[-1] + 1 if len(filled) else 0].reset_index(drop=True)
    return Source(frame, path.name, "line", skip_rows + 2, frozenset(header[unnamed]))


def _decode(path: Path) -> str:
    opener = _OPENERS.get(path.suffix.lower(), open)
    try:
        with opener(path, "rb") as file:
            is_utf16 = file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
        encoding = "utf-16" if is_utf16 else "utf-8-sig"
        with opener(path, "rt", encoding=encoding) as file:
            text: str = file.read()
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path.name} is neither UTF-8 nor UTF-16: {error}. Save it as UTF-8."
        ) from error
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        if getattr(error, "errno", None) is not None:  # of the disk, not of the content
            raise
        raise InputError(
            f"{path.name} cannot be decompressed: {error}. Compress it again."
        ) from error
    return text


def _check_header(
    name: str, text: str, separator: str, skip_rows: int, time_column: str
) -> None:
    """Raise an error with the options that would find the time column, if any do."""
    lines = text.split("\n", _MAX_HEADER_LINES)[:_MAX_HEADER_LINES]
    separators = dict.fromkeys([separator, *_SEPARATORS])
    for (n, line), other in itertools.product(enumerate(lines), separators):
        if time_column not in [cell.strip(" \"'") for cell in line.split(other)]:
            continue
        options = [f"--skip-rows {n}"] * (n != skip_rows)
        if other != separator:
            options.append(f"--separator {shlex.quote(other)}".replace("\t", "\\t"))
            rows = pd.Series(lines[n + 1 :])
            options += ["--decimal ,"] * bool(rows.str.contains(r"\d,\d").any())
        if not options:
            return
        got = lines[skip_rows] if skip_rows < len(lines) else ""
        raise InputError(
            f"{name}, line {skip_rows + 1}: {got!r} does not look like column names "
            f"separated by {separator!r}; {time_column!r} is in line {n + 1}. Give "
            f"`{' '.join(options)}`."
        )


def _read_parquet(path: Path) -> Source:
    try:
        frame = pd.read_parquet(path)
    except ImportError as error:
        raise MissingPackageError(
            f"Reading {path.name} needs pyarrow. Install it with "
            f"`pip install sktime-llm[baselines]`, or save the table as CSV."
        ) from error
    except (OSError, ValueError) as error:  # what pyarrow raises derives from these
        raise InputError(f"{path.name} is not a Parquet file: {error}") from error
    levels = frame.index.names
    if isinstance(frame.index, pd.RangeIndex) and levels == [None]:
        return Source(frame.reset_index(drop=True), path.name, "row", 1)
    frame = frame.reset_index()
    names = zip(levels, frame.columns, strict=False)
    unnamed = frozenset(column for level, column in names if level is None)
    return Source(frame, path.name, "row", 1, unnamed)
