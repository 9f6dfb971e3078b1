"""The series of a frame, end to end, and what is computed of many of them at once."""

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd

Key = Hashable
"""Instance of a panel or node of a hierarchy; None for a single series."""

_MAX_VALUES = 2**20
"""Values in a stack of series, unless one series has more."""


@dataclass(frozen=True)
class Panel:
    """Series of a frame, sorted by key; a single one has the key None.

    `rows` are those of all series, one series after the other: series i has those from
    ``bounds[i]`` up to ``bounds[i + 1]``. The time of a row is ``times[codes]``.
    """

    rows: pd.DataFrame
    keys: list[Key]
    bounds: np.ndarray
    times: pd.Index
    codes: np.ndarray

    @classmethod
    def of(cls, frame: pd.DataFrame) -> "Panel":
        """Sort the rows of a frame by series, in their order."""
        index = frame.index
        if not isinstance(index, pd.MultiIndex):
            n_rows = len(frame)
            bounds = np.array([0, n_rows])
            return cls(frame, [None], bounds, index, np.arange(n_rows))
        levels = list(range(index.nlevels - 1))
        by = levels if len(levels) > 1 else levels[0]
        groups = frame.groupby(level=by, sort=True, observed=True)
        numbers, sizes = groups.ngroup().to_numpy(), groups.size()
        if (np.diff(numbers) < 0).any():
            frame = frame.iloc[np.argsort(numbers, kind="stable")]
        bounds = np.concatenate([[0], np.cumsum(sizes.to_numpy())])
        codes = np.asarray(frame.index.codes[-1])
        return cls(frame, list(sizes.index), bounds, index.levels[-1], codes)

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def is_single(self) -> bool:
        """Whether it is one series with a plain index of times."""
        return not isinstance(self.rows.index, pd.MultiIndex)

    @property
    def lengths(self) -> np.ndarray:
        """Rows of each series."""
        return np.diff(self.bounds)

    @property
    def last_codes(self) -> np.ndarray:
        """Where the last time of each series is in `times`."""
        return self.codes[self.bounds[1:] - 1]

    def index_of(self, i: int) -> pd.Index:
        """Return the times of a series, with their frequency if they carry one."""
        index = self.rows.index[self.bounds[i] : self.bounds[i + 1]]
        return (
            index if self.is_single else index.droplevel(list(range(index.nlevels - 1)))
        )

    def arrays(self) -> list[np.ndarray]:
        """Copy the series into arrays of shape (time, channel), float64.

        Each channel of a panel's series is contiguous.
        """
        if self.is_single:
            return [self.rows.to_numpy(dtype=np.float64, copy=True)]
        values = self.rows.to_numpy(dtype=np.float64)
        bounds = pairwise(self.bounds.tolist())
        return [values[a:b].copy(order="F") for a, b in bounds]

    def steps(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows that another row of their series follows, and these."""
        first = np.ones(len(self.codes), dtype=bool)
        first[self.bounds[:-1][self.lengths > 0]] = False
        later = np.flatnonzero(first)
        return later - 1, later

    def distinct(self, order: Iterable[int] | None = None) -> Iterator[int]:
        """Yield series, in an order, that have other times than all before."""
        starts, seen = self.bounds.tolist(), set()
        for i in range(len(self)) if order is None else order:
            times = self.codes[starts[i] : starts[i + 1]].tobytes()
            if times not in seen:
                seen.add(times)
                yield i


def in_stacks(series: Sequence[np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the numbers of series of one length, and them, (series, time, channel).

    Each channel of several series is contiguous, as it is in one, so that sums over
    time have the same digits.
    """
    lengths = np.fromiter(map(len, series), np.int64, len(series))
    order = np.argsort(lengths, kind="stable")
    for alike in np.split(order, np.flatnonzero(np.diff(lengths[order])) + 1):
        if not len(alike):
            continue
        at_once = max(1, _MAX_VALUES // max(1, series[alike[0]].size))
        for start in range(0, len(alike), at_once):
            numbers = alike[start : start + at_once]
            if len(numbers) == 1:
                yield numbers, series[numbers[0]][None]
                continue
            stacked = np.stack([series[i].T for i in numbers.tolist()], axis=1)
            yield numbers, stacked.transpose(1, 2, 0)
