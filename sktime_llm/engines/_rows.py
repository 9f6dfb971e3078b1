"""Rows of Parquet files; only those that are asked for are read."""

import hashlib
import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from sktime_llm.datasets._source import Columns, Source, require_file
from sktime_llm.errors import InputError, MissingPackageError

if TYPE_CHECKING:
    import pyarrow as pa

_BATCH_ROWS = 2**16
_BUFFER_BYTES = 2**20
_UNNAMED_INDEX = re.compile(r"__index_level_\d+__")
"""The name of a column that pandas makes of an index without a name."""


@dataclass(frozen=True)
class ParquetRows:
    """The rows of one or more Parquet files, one file after the other, from row 0.

    `bounds` are the first row of each file, and the number of all rows.
    """

    name: str
    files: tuple[str, ...]
    bounds: tuple[int, ...]

    @classmethod
    def of(cls, path: Path) -> "ParquetRows":
        """Look into a file, or into the files of a folder in the order of their names.

        Raise an InputError if they are no Parquet files with the same columns.
        """
        if path.is_dir():
            hidden = (".", "_")
            found = sorted(path.glob("*.parquet"))
            files = [file for file in found if not file.name.startswith(hidden)]
            if not files:
                raise InputError(
                    f"The folder {str(path)!r} has no files *.parquet. Name a Parquet "
                    "file, or a folder of them."
                )
        else:
            files = [require_file(path)]
        bounds = [0]
        schemas = []
        for file in files:
            opened = _open(file)
            bounds.append(bounds[-1] + opened.metadata.num_rows)
            schemas.append(opened.schema_arrow.remove_metadata())
            if not schemas[-1].equals(schemas[0]):
                raise InputError(
                    f"{file.name} has other columns or types than {files[0].name}; "
                    "expected the same in all files of a folder. Write them anew."
                )
        if not bounds[-1]:
            raise InputError(f"{path.name} has no rows; expected at least one.")
        return cls(path.name, tuple(map(str, files)), tuple(bounds))

    @property
    def n_rows(self) -> int:
        """Number of rows in all files."""
        return self.bounds[-1]

    @property
    def names(self) -> list[str]:
        """Names of all columns."""
        return list(_open(self.files[0]).schema_arrow.names)

    def find(self, columns: Columns, role: str) -> list[str]:
        """Return the names of columns; raise an InputError if one is not there."""
        empty = _open(self.files[0]).schema_arrow.empty_table()
        source = Source(empty.to_pandas(ignore_metadata=True), self.name, "row", 1)
        return [str(name) for name in source.find(columns, role)]

    def find_numbers(self, taken: Sequence[str]) -> list[str]:
        """Return the other columns that have a name and a numeric type.

        Types are those of all rows, whatever values there are in some of them.
        """
        from pyarrow import types

        kinds = (types.is_integer, types.is_floating, types.is_decimal)
        found = [
            column.name
            for column in _open(self.files[0]).schema_arrow
            if column.name not in taken
            and not _UNNAMED_INDEX.fullmatch(column.name)
            and any(is_kind(column.type) for is_kind in kinds)
        ]
        if not found:
            raise InputError(
                f"{self.name} has no column of a numeric type beside "
                f"{', '.join(map(repr, taken))}; expected at least one to forecast. "
                "Name those that hold numbers as text as the target."
            )
        return found

    def row(self, number: int) -> str:
        """Name a row, numbered from 0: by its file, too, if there are several."""
        if len(self.files) == 1:
            return f"row {number + 1}"
        file = bisect_right(self.bounds, number) - 1
        return f"row {number - self.bounds[file] + 1} of {Path(self.files[file]).name}"

    def batches(
        self, start: int, stop: int, columns: Sequence[str] | None = None
    ) -> Iterator["pa.RecordBatch"]:
        """Yield the rows from `start` up to `stop`; None takes all columns."""
        for i, file in enumerate(self.files):
            first, last = start - self.bounds[i], stop - self.bounds[i]
            if first < self.bounds[i + 1] - self.bounds[i] and last > 0:
                yield from _batches(file, max(0, first), last, columns)

    def read(
        self, start: int, stop: int, columns: Sequence[str] | None = None
    ) -> Source:
        """Read the rows from `start` up to `stop`, which know their numbers."""
        import pyarrow as pa

        table = pa.Table.from_batches(list(self.batches(start, stop, columns)))
        return _Part(to_frame(table), self.name, "row", start + 1, rows=self)

    def digests(self) -> list[str]:
        """Return the SHA-256 of each file."""
        return [sha256(file) for file in self.files]


@dataclass(frozen=True)
class _Part(Source):
    """Some rows of files, which are named by them."""

    rows: ParquetRows = field(kw_only=True)

    def row(self, position: int) -> str:
        return self.rows.row(self.first_row - 1 + position)


def to_frame(table: "pa.Table | pa.RecordBatch") -> pd.DataFrame:
    """Return plain columns; an index that pandas wrote is a column, too."""
    return table.to_pandas(ignore_metadata=True, use_threads=False)


def sha256(file: str | Path) -> str:
    """Return the SHA-256 of a file, read one megabyte at a time."""
    digest = hashlib.sha256()
    with open(file, "rb") as stream:
        while chunk := stream.read(2**20):
            digest.update(chunk)
    return digest.hexdigest()


def _open(file: str | Path) -> Any:
    try:
        from pyarrow.lib import ArrowInvalid
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise MissingPackageError(
            "Forecasts by partition need pyarrow. Install it with "
            "`pip install sktime-llm[baselines]`."
        ) from error
    try:
        # pages are read as they are needed, not whole columns of a row group
        return ParquetFile(file, buffer_size=_BUFFER_BYTES, pre_buffer=False)
    except ArrowInvalid as error:
        raise InputError(f"{file} is not a Parquet file: {error}") from error


def _batches(
    file: str, start: int, stop: int, columns: Sequence[str] | None
) -> Iterator["pa.RecordBatch"]:
    """Yield rows of one file, of the row groups that have any of them."""
    opened = _open(file)
    groups, begin, row = [], None, 0
    for i in range(opened.metadata.num_row_groups):
        end = row + opened.metadata.row_group(i).num_rows
        if row < stop and end > start:
            groups.append(i)
            begin = row if begin is None else begin
        row = end
    at = begin or 0
    with opened:
        for batch in opened.iter_batches(
            _BATCH_ROWS,
            row_groups=groups,
            columns=None if columns is None else list(columns),
            use_threads=False,
        ):
            first, last = max(0, start - at), min(len(batch), stop - at)
            if first < last:
                yield batch.slice(first, last - first)
            at += len(batch)
            if at >= stop:
                return
