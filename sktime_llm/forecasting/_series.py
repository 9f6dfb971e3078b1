"""From sktime's data frames to arrays per series, and back."""

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd

from sktime_llm._frequency import infer_frequency
from sktime_llm.errors import InputError
from sktime_llm.forecasting._panel import Key, Panel, in_stacks
from sktime_llm.forecasting._regular import (
    are_all_regular,
    check_regular,
    check_unit_steps,
    of_series,
)

MTYPES = ["pd.DataFrame", "pd-multiindex", "pd_multiindex_hier"]
"""sktime's names of the frames that are understood here."""

_MAX, _MIN_AMPLITUDE = 1e150, 1e-150


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
    order: Literal["F", "C"] = "F" if values.flags.fnc else "C"
    missing = n_rows - len(values)
    if missing <= 0:
        return np.asarray(values, order=order)
    padded = np.empty((n_rows, values.shape[1]), order=order)
    padded[:missing], padded[missing:] = values[:1], values
    return padded


def index_like(like: pd.DataFrame, labels: Iterable[tuple[Key, Any]]) -> pd.MultiIndex:
    """Return (key, time) as an index with the levels of a panel or hierarchy."""
    tuples = [
        (*(key if isinstance(key, tuple) else (key,)), time) for key, time in labels
    ]
    return pd.MultiIndex.from_tuples(tuples, names=like.index.names)


def to_frame(
    values: np.ndarray,
    keys: Sequence[Key],
    times: Sequence[pd.Index],
    like: pd.DataFrame,
) -> pd.DataFrame:
    """Label forecasts of all series, (entry, channel), as `like` is labeled.

    There is an entry for each of the times of each of the series `keys`, which are
    those of `like` and come in their order there, as sktime scores row by row.
    """
    if not isinstance(like.index, pd.MultiIndex):
        index = times[0].rename(like.index.name)
        return pd.DataFrame(values, index=index, columns=like.columns)
    table = pd.DataFrame(values, _index_of(keys, times, like), columns=like.columns)
    place = like.index.droplevel(-1).unique().get_indexer(pd.Index(keys))
    if (np.diff(place) < 0).any():
        by_place = np.repeat(place, [len(each) for each in times])
        table = table.iloc[np.argsort(by_place, kind="stable")]
    return table


def _index_of(
    keys: Sequence[Key], times: Sequence[pd.Index], like: pd.DataFrame
) -> pd.MultiIndex:
    """Return the times of every series as an index with the levels of `like`."""
    distinct = {id(each): each for each in times}  # many series share theirs
    first, *others = distinct.values()
    ends = np.cumsum([len(each) for each in distinct.values()])
    places = np.split(np.arange(ends[-1]), ends[:-1])
    place_of = dict(zip(distinct, places, strict=True))
    at = np.concatenate([place_of[id(each)] for each in times])
    all_times = first.append(others) if others else first
    n_times = [len(each) for each in times]
    levels = zip(*keys, strict=True) if isinstance(keys[0], tuple) else [keys]
    by_level = [pd.Index(list(level)).repeat(n_times) for level in levels]
    return pd.MultiIndex.from_arrays(
        [*by_level, all_times.take(at)], names=like.index.names
    )


# rows that are missing


def with_all_rows(
    frame: pd.DataFrame,
    frequency: pd.offsets.BaseOffset | str | None = None,
    *,
    goes_on: bool = False,
) -> pd.DataFrame:
    """Add the rows, of NaN, that are missing between those of each series.

    The frequency of datetimes is the one that is known, or that their index carries;
    else it is inferred. A series whose times lie on no common grid stays as it is.
    Integers have steps of 1; raise an InputError if only a longer one fits, unless the
    frame goes on from rows that are known.
    """
    panel = Panel.of(frame)
    if not goes_on:
        check_unit_steps(panel)
    if frequency is None and isinstance(panel.times, pd.DatetimeIndex):
        longest = int(np.argmax(panel.lengths))
        frequency = _carried_by(frame.index) or infer_frequency(panel.index_of(longest))
    left_out_of: dict[bytes, pd.Index] = {}
    left_out: list[tuple[Key, Any]] = []
    for i, key in enumerate(panel.keys):
        start, stop = panel.bounds[i : i + 2]
        codes = panel.codes[start:stop].tobytes()
        if codes not in left_out_of:
            index = panel.index_of(i)
            left_out_of[codes] = _all_times(index, frequency).difference(index)
        left_out += [(key, time) for time in left_out_of[codes]]
    return with_rows(frame, left_out) if left_out else frame


def _carried_by(index: pd.Index) -> pd.offsets.BaseOffset | None:
    """Return the frequency that datetimes carry, or those of all series together."""
    if isinstance(index, pd.MultiIndex):
        index = index.remove_unused_levels().levels[-1]
    return index.freq


def _all_times(
    index: pd.Index, frequency: pd.offsets.BaseOffset | str | None
) -> pd.Index:
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


def to_arrays(
    panel: Panel, frequency: pd.offsets.BaseOffset | None = None
) -> dict[Key, np.ndarray]:
    """Check series and copy them into arrays of shape (time, channel), float64.

    Raise an InputError if a value is infinite, if the time index is not regular, or if
    datetimes are not on a frequency that is known.
    """
    series = panel.arrays()
    if not (_are_sound(series) and are_all_regular(panel, frequency)):
        check_unit_steps(panel)
        distinct = set(panel.distinct())
        for i, (key, values) in enumerate(zip(panel.keys, series, strict=True)):
            _check_values(values, panel, i)
            if i in distinct:
                check_regular(panel.index_of(i), key, frequency)
    return dict(zip(panel.keys, series, strict=True))


def _are_sound(series: Sequence[np.ndarray]) -> bool:
    """Tell quickly that all values are in range."""
    return not any(
        (np.abs(stack) > _MAX).any() or (stack.shape[1] and _is_tiny(stack).any())
        for _, stack in in_stacks(series)
    )


def _is_tiny(values: np.ndarray) -> np.ndarray:
    """Tell of each channel of (..., time, channel) whether its range has no square."""
    amplitude = _amplitude(values)
    return (amplitude > 0) & (amplitude < _MIN_AMPLITUDE)


def _amplitude(values: np.ndarray) -> np.ndarray:
    return np.fmax.reduce(values, axis=-2) - np.fmin.reduce(values, axis=-2)


def _check_values(values: np.ndarray, panel: Panel, i: int) -> None:
    of, columns = of_series(panel.keys[i]), panel.rows.columns

    def first(bad: np.ndarray) -> tuple[Any, str]:
        row, column = np.argwhere(bad)[0]
        place = f"in column {columns[column]!r} at {panel.index_of(i)[row]}"
        return values[row, column], place

    bad = np.isinf(values)
    if bad.any():
        value, place = first(bad)
        raise InputError(
            f"y{of} has {bad.sum()} value(s) that are infinite, expected finite "
            f"numbers, or NaN where one is missing. The first is {value} {place}. "
            "Replace them first."
        )
    huge = np.abs(values) > _MAX
    if huge.any():
        value, place = first(huge)
        raise InputError(
            f"y{of} has {value} {place}; expected at most {_MAX} in size, whose square "
            "is a number. Give y in a larger unit."
        )
    if len(values) and (tiny := _is_tiny(values)).any():
        column = int(np.argmax(tiny))
        raise InputError(
            f"y{of} varies by {_amplitude(values)[column]} in column "
            f"{columns[column]!r}, expected at least {_MIN_AMPLITUDE}, whose square is "
            "not zero. Give y in a smaller unit."
        )
