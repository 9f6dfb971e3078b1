"""Which rows make a partition: those of some series, which are never torn apart."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from sktime_llm.engines._rows import ParquetRows, to_frame
from sktime_llm.errors import InputError

_FIRST_CHECK = 2**16


class Partition(NamedTuple):
    """Some series: all rows from `start` up to `stop`."""

    number: int
    start: int
    stop: int
    n_series: int


def plan(
    rows: ParquetRows, id_columns: Sequence[str], partition_size: int
) -> list[Partition]:
    """Return partitions of so many series each, fewer in the last.

    Only the columns of ids are read. Of each series 16 bytes are kept. Raise an
    InputError if the rows of a series are not consecutive, or an id is missing.
    """
    starts = _starts(rows, id_columns)
    firsts = starts[::partition_size].tolist()
    stops = [*firsts[1:], rows.n_rows]
    left = len(starts)
    partitions = []
    for number, (start, stop) in enumerate(zip(firsts, stops, strict=True)):
        partitions.append(Partition(number, start, stop, min(left, partition_size)))
        left -= partition_size
    return partitions


def _starts(rows: ParquetRows, id_columns: Sequence[str]) -> np.ndarray:
    """Return the first row of each series, (series,)."""
    parts: list[tuple[np.ndarray, np.ndarray]] = []
    n_series, next_check = 0, _FIRST_CHECK
    for part in _runs(rows, id_columns):
        parts.append(part)
        n_series += len(part[0])
        # of rows in no order a series comes back early, before there are many runs
        if n_series > next_check:
            parts = [_joined(parts)]
            _check_consecutive(rows, id_columns, *parts[0])
            next_check = 2 * n_series
    starts, hashes = _joined(parts)
    _check_consecutive(rows, id_columns, starts, hashes)
    return starts


def _runs(
    rows: ParquetRows, id_columns: Sequence[str]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the rows where the ids change, and hashes of the new ids."""
    at, last = 0, None
    for batch in rows.batches(0, rows.n_rows, id_columns):
        ids = to_frame(batch)[list(id_columns)]
        missing = ids.isna().any(axis=1).to_numpy()
        if missing.any():
            raise InputError(
                f"{rows.name}, {rows.row(at + int(missing.argmax()))}: an id of the "
                f"columns {list(id_columns)} is missing, expected one in every row. "
                "Fill it in or remove the row."
            )
        hashes = pd.util.hash_pandas_object(ids, index=False).to_numpy()
        changes = np.r_[last is None or hashes[0] != last, hashes[1:] != hashes[:-1]]
        first = np.flatnonzero(changes)
        yield at + first, hashes[first]
        at, last = at + len(hashes), hashes[-1]


def _joined(
    parts: list[tuple[np.ndarray, np.ndarray]],
) -> tuple[np.ndarray, np.ndarray]:
    starts, hashes = zip(*parts, strict=True)
    return np.concatenate(starts), np.concatenate(hashes)


def _check_consecutive(
    rows: ParquetRows,
    id_columns: Sequence[str],
    starts: np.ndarray,
    hashes: np.ndarray,
) -> None:
    order = np.argsort(hashes, kind="stable")
    again = np.flatnonzero(hashes[order][1:] == hashes[order][:-1])
    pairs = np.column_stack([order[again], order[again + 1]])
    for first, second in pairs[np.argsort(pairs[:, 1])]:
        begins, returns = int(starts[first]), int(starts[second])
        ids = [_ids_at(rows, id_columns, row) for row in (begins, returns)]
        if ids[0] == ids[1]:  # and not only their hashes
            raise InputError(
                f"{rows.name}: the series {' / '.join(ids[0])!r} begins at "
                f"{rows.row(begins)} and comes back at {rows.row(returns)}, after "
                "other series; expected the rows of a series one after the other. Sort "
                f"the rows by {', '.join(map(repr, id_columns))}."
            )


def _ids_at(rows: ParquetRows, id_columns: Sequence[str], row: int) -> list[str]:
    frame = rows.read(row, row + 1, id_columns).frame
    return [str(frame[name].iloc[0]) for name in id_columns]
