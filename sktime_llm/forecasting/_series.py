"""From sktime's data frames to arrays per series, and back."""

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from sktime_llm._frequency import infer_frequency
from sktime_llm.errors import InputError

MTYPES = ["pd.DataFrame", "pd-multiindex", "pd_multiindex_hier"]
"""sktime's names of the frames that are understood here."""

Key = Hashable
"""Instance of a panel or node of a hierarchy; None for a single series."""

_PERIODS = ("M", "Q", "Y", "W")
_MAX, _MIN_AMPLITUDE = 1e150, 1e-150


def split_series(frame: pd.DataFrame) -> Iterator[tuple[Key, pd.DataFrame]]:
    """Yield each series of a frame, with a plain time index, sorted by key."""
    if not isinstance(frame.index, pd.MultiIndex):
        yield None, frame
        return
    levels = list(range(frame.index.nlevels - 1))
    by = levels if len(levels) > 1 else levels[0]
    for key, part in frame.groupby(level=by, sort=True, observed=True):
        yield key, part.droplevel(levels)


def times_of(index: pd.Index) -> pd.Index:
    """Return the times of all rows of a series, panel or hierarchy."""
    return index.get_level_values(-1) if isinstance(index, pd.MultiIndex) else index


def last_rows(frame: pd.DataFrame, n_rows: int) -> pd.DataFrame:
    """Copy the last rows of every series."""
    if not isinstance(frame.index, pd.MultiIndex):
        return frame.iloc[-n_rows:].copy()
    levels = list(range(frame.index.nlevels - 1))
    return frame.groupby(level=levels, sort=True, observed=True).tail(n_rows).copy()


def pad_start(values: np.ndarray, n_rows: int) -> np.ndarray:
    """Repeat the first row at the start until there are enough rows."""
    missing = max(0, n_rows - len(values))
    return np.pad(values, ((missing, 0), (0, 0)), mode="edge")


def index_like(like: pd.DataFrame, labels: Iterable[tuple[Key, Any]]) -> pd.MultiIndex:
    """Return (key, time) as an index with the levels of a panel or hierarchy."""
    tuples = [
        (*(key if isinstance(key, tuple) else (key,)), time) for key, time in labels
    ]
    return pd.MultiIndex.from_tuples(tuples, names=like.index.names)


def to_frame(
    forecasts: Sequence[np.ndarray],
    keys: Sequence[Key],
    times: Sequence[pd.Index],
    like: pd.DataFrame,
) -> pd.DataFrame:
    """Join forecasts, (step, channel), by series, with the labels of `like`."""
    if isinstance(like.index, pd.MultiIndex):
        by_series = zip(keys, times, strict=True)
        index = index_like(like, ((key, t) for key, each in by_series for t in each))
    else:
        index = times[0].rename(like.index.name)
    return pd.DataFrame(np.concatenate(forecasts), index=index, columns=like.columns)


def of_series(key: Key) -> str:
    """Name a series in a message; a single one has no name."""
    return "" if key is None else f" (series {key!r})"


# rows that are missing


def with_all_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """Add the rows, of NaN, that are missing between those of each series.

    A series whose times lie on no common grid stays as it is.
    """
    indices = {key: rows.index for key, rows in split_series(frame)}
    frequency = None
    if isinstance(times_of(frame.index), pd.DatetimeIndex):
        frequency = infer_frequency(max(indices.values(), key=len))
    left_out = [
        (key, time)
        for key, index in indices.items()
        for time in _all_times(index, frequency).difference(index)
    ]
    return with_rows(frame, left_out) if left_out else frame


def _all_times(index: pd.Index, frequency: str | None) -> pd.Index:
    """Return all times from the first to the last, if these are among them."""
    if not len(index) or index.has_duplicates:
        return index
    if isinstance(index, pd.DatetimeIndex):
        if frequency is None:
            return index
        grid = pd.date_range(index.min(), index.max(), freq=frequency)
    elif isinstance(index, pd.PeriodIndex):
        grid = pd.period_range(index.min(), index.max(), freq=index.freq)
    elif pd.api.types.is_integer_dtype(index):
        grid = pd.RangeIndex(index.min(), index.max() + 1)
    else:
        return index
    return grid if index.isin(grid).all() else index


def with_rows(frame: pd.DataFrame, labels: list[tuple[Key, Any]]) -> pd.DataFrame:
    """Add rows of NaN, given the series and the time of each, in the order of time."""
    if isinstance(frame.index, pd.MultiIndex):
        added: pd.Index = index_like(frame, labels)
    else:
        added = pd.Index([time for _, time in labels], name=frame.index.name)
    return frame.reindex(frame.index.append(added)).sort_index()


# arrays, with checks of values and times


def to_arrays(parts: Mapping[Key, pd.DataFrame]) -> dict[Key, np.ndarray]:
    """Check series and copy them into arrays of shape (time, channel), float64.

    Raise an InputError if a value is infinite, or if the time index is not regular.
    """
    return {key: _to_array(rows, key) for key, rows in parts.items()}


def _to_array(series: pd.DataFrame, key: Key) -> np.ndarray:
    values = series.to_numpy(dtype=np.float64, copy=True)

    def first(bad: np.ndarray) -> tuple[Any, str]:
        row, column = np.argwhere(bad)[0]
        place = f"in column {series.columns[column]!r} at {series.index[row]}"
        return values[row, column], place

    bad = np.isinf(values)
    if bad.any():
        value, place = first(bad)
        raise InputError(
            f"y{of_series(key)} has {bad.sum()} value(s) that are infinite, expected "
            f"finite numbers, or NaN where one is missing. The first is {value} "
            f"{place}. Replace them first."
        )
    huge = np.abs(values) > _MAX
    if huge.any():
        value, place = first(huge)
        raise InputError(
            f"y{of_series(key)} has {value} {place}; expected at most {_MAX} in size, "
            "whose square is a number. Give y in a larger unit."
        )
    if len(values):
        amplitude = np.fmax.reduce(values) - np.fmin.reduce(values)
        tiny = (amplitude > 0) & (amplitude < _MIN_AMPLITUDE)
        if tiny.any():
            column = int(np.argmax(tiny))
            raise InputError(
                f"y{of_series(key)} varies by {amplitude[column]} in column "
                f"{series.columns[column]!r}, expected at least {_MIN_AMPLITUDE}, "
                "whose square is not zero. Give y in a smaller unit."
            )
    _check_regular(series.index, key)
    return values


def _check_regular(index: pd.Index, key: Key) -> None:
    if index.has_duplicates:
        twice = index[index.duplicated()][0]
        raise InputError(
            f"the time index of y{of_series(key)} has {twice} more than once; expected "
            "every time once. Aggregate the rows of one time first."
        )
    if isinstance(index, pd.DatetimeIndex):
        if index.freq is None and len(index) >= 3:
            _infer_frequency(index, key)
        return
    if isinstance(index, pd.PeriodIndex):
        positions, step = index.asi8, index.freq.n
    elif pd.api.types.is_integer_dtype(index):
        positions, step = index.to_numpy(), 1
    else:
        raise InputError(
            f"the time index of y{of_series(key)} is a {type(index).__name__} of "
            f"{index.dtype}; expected datetimes, periods or integers. Number the rows, "
            "for example by y.reset_index(drop=True)."
        )
    gaps = np.flatnonzero(np.diff(positions) != step)
    if len(gaps):
        raise _irregular(index, int(gaps[0]), key)


def _irregular(index: pd.Index, at: int, key: Key) -> InputError:
    what_to_do = (
        'If rows are missing, set missing="mask"; else resample y, for example by '
        "y.asfreq(...)."
    )
    alias = _period_of(index)
    if alias is not None:
        where = "" if key is None else " on each series, or on the level of times"
        what_to_do = (
            "Each is in the period after the last one's: use "
            f"y.to_period({alias!r}){where}."
        )
    return InputError(
        f"the time index of y{of_series(key)} is not regular: {index[at + 1]} follows "
        f"{index[at]} (rows {at} and {at + 1}); expected equal steps, of 1 for an "
        f"integer index. {what_to_do}"
    )


def _period_of(index: pd.Index) -> str | None:
    """Return the periods that datetimes have one each of, if there are such."""
    if isinstance(index, pd.DatetimeIndex):
        for alias in _PERIODS:
            periods = index.tz_localize(None).to_period(alias)
            if (np.diff(periods.asi8) == 1).all():
                return alias
    return None


# frequencies of datetimes


def frequency_of(frame: pd.DataFrame) -> pd.offsets.BaseOffset | None:
    """Return the frequency of a frame's datetimes, from its longest series.

    A shorter one tells it if only its frequency is that of all: five business days in
    a row are days, too. None for other kinds of index, which do not need one, and where
    there is no series of two rows to tell it.
    """
    indices = sorted((rows.index for _, rows in split_series(frame)), key=len)[::-1]
    if not isinstance(indices[0], pd.DatetimeIndex):
        return None

    def is_of_all(frequency: pd.offsets.BaseOffset) -> bool:
        return all(_first_other_step(index, frequency) is None for index in indices)

    longest = _frequency_of_one(indices[0])
    if longest is None or is_of_all(longest):
        return longest
    others = (_frequency_of_one(index) for index in indices[1:] if len(index) > 2)
    return next(filter(is_of_all, dict.fromkeys(others)), longest)


def _frequency_of_one(index: pd.DatetimeIndex) -> pd.offsets.BaseOffset | None:
    if index.freq is not None or len(index) < 2:
        return index.freq
    return _infer_frequency(index)


def _infer_frequency(index: pd.DatetimeIndex, key: Key = None) -> pd.offsets.BaseOffset:
    """Infer the frequency of at least two datetimes that do not carry it."""
    if len(index) == 2:
        return pd.tseries.frequencies.to_offset(index[1] - index[0])
    if frequency := pd.infer_freq(index):
        return pd.tseries.frequencies.to_offset(frequency)
    steps = np.diff(index.asi8)
    raise _irregular(index, int(np.abs(steps / np.median(steps) - 1).argmax()), key)


def _first_other_step(
    index: pd.DatetimeIndex, frequency: pd.offsets.BaseOffset
) -> tuple[int, pd.Timestamp] | None:
    """Return the first row that is not on a frequency, and the time expected there."""
    steps = pd.date_range(index[0], periods=len(index), freq=frequency)
    same = np.asarray(steps == index)
    if same.all():
        return None
    at = int(np.argmin(same))
    return at, steps[at]


def check_frequency(
    series: dict[Key, pd.DataFrame], frequency: pd.offsets.BaseOffset | None
) -> None:
    """Raise if the datetimes of a series are not on the frequency of the others."""
    # two rows tell no frequency, and there is nothing to compare one series with
    if frequency is None or len(series) == 1 or max(map(len, series.values())) < 3:
        return
    for key, rows in series.items():
        other = _first_other_step(rows.index, frequency)
        if other is not None:
            at, expected = other
            raise InputError(
                f"y{of_series(key)} has {rows.index[at]} in row {at}, expected "
                f"{expected}: the longest series has the frequency "
                f"{frequency.freqstr!r}, and all have to share it. Bring them to one "
                "frequency, for example by resampling, or fit a forecaster on each."
            )
