"""What a fitted forecaster knows of its series, and how new rows extend it."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from itertools import compress
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sktime.datatypes import update_data

from sktime_llm._warn import warn
from sktime_llm.errors import InputError, LaterRowsDroppedWarning
from sktime_llm.forecasting._covariates import Covariates
from sktime_llm.forecasting._panel import Key, Panel, in_stacks
from sktime_llm.forecasting._regular import of_series
from sktime_llm.forecasting._scaling import Scaling
from sktime_llm.forecasting._series import (
    last_rows,
    times_of,
    to_arrays,
    with_rows,
)

OF_FIT = {"network_", "history_", "context_length_", "prediction_length_"}
OF_FIT |= {"_known", "_calibration", "_n_rows"}
"""Attributes of a forecaster that are of its last fit."""


class LastObserved(NamedTuple):
    """Last observed value of each channel before the rows kept, and its time.

    Both (channel,); NaN and None where nothing was observed.
    """

    values: np.ndarray
    times: np.ndarray

    @classmethod
    def of_each(
        cls,
        panel: Panel,
        series: Mapping[Key, np.ndarray],
        n_kept: int,
        earlier: "Mapping[Key, LastObserved] | None" = None,
    ) -> "dict[Key, LastObserved]":
        """Look before the last `n_kept` rows of each series, then at `earlier`."""
        heads = [values[: max(0, len(values) - n_kept)] for values in series.values()]
        shape = (len(heads), panel.rows.shape[1])
        values, times = np.full(shape, np.nan), np.full(shape, None)
        for i, key in enumerate(series):
            if earlier is not None and key in earlier:
                values[i], times[i] = earlier[key]
        for numbers, stack in in_stacks(heads):
            if not stack.shape[1]:
                continue
            rows, latest = last_finite(stack)
            seen = rows >= 0
            values[numbers] = np.where(seen, latest, values[numbers])
            at = (panel.bounds[numbers][:, None] + rows)[seen]
            places = np.nonzero(seen)
            times[numbers[places[0]], places[1]] = list(panel.times[panel.codes[at]])
        pairs = map(cls, values, times)
        return dict(zip(series, pairs, strict=True))

    def until(self, start: Hashable) -> "LastObserved":
        """Drop what was observed at `start` or later."""
        valid = np.array([t is not None and t < start for t in self.times], dtype=bool)
        times = self.times.copy()
        times[~valid] = None
        return LastObserved(np.where(valid, self.values, np.nan), times)


def last_finite(stack: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the last observed row of (series, time, channel), and its value.

    Both (series, channel); -1 and NaN where nothing is observed.
    """
    steps = np.arange(stack.shape[1])[:, None]
    rows = np.where(np.isfinite(stack), steps, -1).max(axis=1)
    latest = np.take_along_axis(stack, rows[:, None], axis=1)[:, 0]
    return rows, np.where(rows >= 0, latest, np.nan)


@dataclass(frozen=True)
class KnownSeries:
    """What a fitted forecaster knows of its series; an update makes a new one.

    `rows` are the most recent ones of every series, as many as a window has, and
    `last_observed` is from before them; `past` are all rows, None if it was saved
    without. The network knows the series by `numbers`, as they are at its end, and by
    `row_numbers`, (time,), where a context ends before a row; the last one counts for
    all later rows.
    `frequency` is that of datetimes, `descriptions` those of all variates, if any,
    `covariates` those at the rows of `past`, else at `rows`.
    """

    rows: pd.DataFrame
    past: pd.DataFrame | None
    last_observed: dict[Key, LastObserved]
    scalings: dict[Key, Scaling]
    numbers: dict[Key, int]
    row_numbers: dict[Key, np.ndarray]
    frequency: pd.offsets.BaseOffset | None
    descriptions: pd.Series | None = None
    covariates: Covariates | None = None

    def without_past(self) -> "KnownSeries":
        """Forget all rows but the most recent ones."""
        covariates = self.covariates and self.covariates.at(self.rows)
        return replace(self, past=None, covariates=covariates)


class Registered(NamedTuple):
    """Series that a network was told of.

    `numbers`, (time + 1,), are those by which the network knows a series where a
    context ends before a row of it, padded to the length of a window; `descriptions`
    the latest ones of all variates, if there are any; `texts` all that were read now.
    """

    numbers: dict[Key, np.ndarray]
    descriptions: pd.Series | None = None
    texts: pd.Series | None = None

    @property
    def last_numbers(self) -> dict[Key, int]:
        """Number of each series at its end."""
        return {key: int(rows[-1]) for key, rows in self.numbers.items()}

    def row_numbers(self, n_rows: Mapping[Key, int]) -> dict[Key, np.ndarray]:
        """Numbers of each series, (time,), given its length; (1,) if they are one."""
        rows = {key: self.numbers[key][-n - 1 :] for key, n in n_rows.items()}
        return {k: r if (r != r[0]).any() else r[:1].copy() for k, r in rows.items()}


class Extension(NamedTuple):
    """Known series with new rows.

    `known` has no scalings, numbers and descriptions of new series yet. By series: all
    rows at hand, (time, channel), the old ones first; how many of them are new; and the
    values last observed before them, (channel,). `new` are the series that were not
    known. `covariates` are those at all rows at hand. `seen` has every row that is
    known of the series which have new ones.
    """

    known: KnownSeries
    series: dict[Key, np.ndarray]
    n_new: list[int]
    first_observed: list[np.ndarray | None]
    new: dict[Key, np.ndarray]
    seen: pd.DataFrame
    covariates: Covariates | None = None

    def of_known(self) -> "Extension":
        """Leave out the series that were not known."""
        kept = [key not in self.new for key in self.series]
        covariates = self.covariates
        if covariates is not None and self.new:
            is_new = _keys(covariates.rows.index).isin(list(self.new))
            covariates = replace(covariates, rows=covariates.rows[~is_new])
        return self._replace(
            series={k: v for k, v in self.series.items() if k not in self.new},
            n_new=list(compress(self.n_new, kept)),
            first_observed=list(compress(self.first_observed, kept)),
            covariates=covariates,
        )


def extend(
    known: KnownSeries,
    y: pd.DataFrame,
    n_kept: int,
    *,
    fills_gaps: bool,
    X: pd.DataFrame | None = None,
) -> Extension:
    """Add the rows of a frame and their covariates, and new series, to what is known.

    Raise an InputError if the rows cannot follow those that are known.
    """
    _check_not_earlier(known, y)
    _warn_dropped(known, y)
    before = Panel.of(known.rows)
    place_of = {key: i for i, key in enumerate(before.keys)}
    # the rows kept do, unless some before them are needed
    old = known.rows
    if known.past is not None and _reaches_back(known.rows, y):
        old = known.past
    frame = extend_rows(old, y, known.frequency, fills_gaps=fills_gaps)
    panel = Panel.of(frame)
    series = to_arrays(panel, known.frequency)
    starts = panel.times[panel.codes[panel.bounds[:-1]]]
    earlier = {
        key: known.last_observed[key].until(start)
        for key, start in zip(panel.keys, starts, strict=True)
        if key in place_of
    }
    new = {key: values for key, values in series.items() if key not in place_of}
    rows = last_rows(frame, n_kept)
    past = known.past
    if past is not None:
        past = frame if old is past else _with_later(past, frame)
    covariates = of_past = None
    if known.covariates is not None and X is not None:
        covariates = known.covariates.with_rows(X, frame)
        of_past = known.covariates.with_rows(X, rows if past is None else past)
    extended = replace(
        known,
        rows=rows,
        past=past,
        last_observed=LastObserved.of_each(panel, series, n_kept, earlier),
        scalings={key: known.scalings[key].completed(series[key]) for key in earlier},
        covariates=of_past,
    )
    ends = before.times[before.last_codes]
    end_of_each = ends[[place_of.get(key, 0) for key in panel.keys]]
    is_later = times_of(panel.rows.index) > end_of_each.repeat(panel.lengths)
    n_later = np.add.reduceat(is_later.astype(np.int64), panel.bounds[:-1]).tolist()
    n_new = [
        n if key in earlier else len(values)
        for n, (key, values) in zip(n_later, series.items(), strict=True)
    ]
    first = [earlier[key].values if key in earlier else None for key in series]
    seen = frame if past is None else past
    seen = seen[_keys(seen.index).isin(_keys(y.index))]
    return Extension(extended, series, n_new, first, new, seen, covariates)


def _check_not_earlier(known: KnownSeries, y: pd.DataFrame) -> None:
    """Raise if a series begins before all of its rows that are known."""
    if known.past is None:
        return
    first, new = _ends(known.past)["first"], _ends(y)["first"]
    first, new = first.align(new, join="inner")
    if (new < first).any():
        key = (new < first).idxmax()
        of = of_series(key if isinstance(y.index, pd.MultiIndex) else None)
        raise InputError(
            f"y{of} begins at {new[key]} in update, before the first row that is "
            f"known, of {first[key]}; expected rows from there on. Leave earlier rows "
            "out, or fit again with them."
        )


def _reaches_back(recent: pd.DataFrame, y: pd.DataFrame) -> bool:
    """Tell whether a series begins before its recent rows, or ends before their end."""
    old, new = _ends(recent), _ends(y)
    old, new = old.align(new, join="inner", axis=0)
    return bool(((new["first"] < old["first"]) | (new["last"] < old["last"])).any())


def _warn_dropped(known: KnownSeries, y: pd.DataFrame) -> None:
    """Warn of rows that are later than the last one of their series in a frame."""
    if not _is_after(known.rows, y).any():
        return
    rows = known.rows if known.past is None else known.past
    index = rows.index[_is_after(rows, y)]
    times, keys = times_of(index), _keys(index)
    key, n_series = keys[0], keys.nunique()
    first, last = times[keys == key].min(), times[keys == key].max()
    of_all = f" of {n_series} series" if n_series > 1 else ""
    here = ", in this one" if n_series > 1 else ","
    what_to_do = "If they should stay, give all rows up to the latest one, or fit again"
    if pd.api.types.is_integer_dtype(times):
        what_to_do = (
            f"If rows of y are later than these, number them from {last + 1} on, as by "
            f"pd.RangeIndex({last + 1}, {last + 1 + len(y)}); an array begins at 0"
        )
    padded = ""
    if known.past is None:
        padded = (
            ". As it was saved without its past, rows before those kept are lacking: "
            "contexts that need them are padded with the first row that is known"
        )
    warn(
        f"y{of_series(key if isinstance(index, pd.MultiIndex) else None)} ends at "
        f"{_ends(y)['last'][key]} in update, before the last row known; {len(index)} "
        f"later row(s){of_all}{here} from {first} to {last}, are dropped, since "
        f"forecasts begin after the last row of an update{padded}. {what_to_do}.",
        LaterRowsDroppedWarning,
    )


def _is_after(rows: pd.DataFrame, y: pd.DataFrame) -> np.ndarray:
    last = _ends(y)["last"].reindex(_keys(rows.index)).to_numpy()
    return np.asarray(times_of(rows.index) > last)


def _with_later(past: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
    """Replace the rows of each series from the first one of a frame on."""
    first = pd.Index(_ends(frame)["first"].reindex(_keys(past.index)))
    earlier = past[times_of(past.index) < first]
    return pd.concat([earlier, frame]).sort_index() if len(earlier) else frame


def extend_rows(
    recent: pd.DataFrame,
    y: pd.DataFrame,
    frequency: pd.offsets.BaseOffset | None,
    *,
    fills_gaps: bool,
) -> pd.DataFrame:
    """Join recent rows of each series and new ones, up to the last new one.

    Values that are in both are taken from `y` where it has them. A series that is not
    in `y` stays as it is. Steps between the old rows and the new ones are NaN, or an
    InputError unless gaps are to be filled.
    """
    old, new = _ends(recent), _ends(y)
    # sktime forecasts from the last row that update was given
    last = new["last"].reindex(_keys(recent.index)).to_numpy()
    kept = recent[pd.isna(last) | (times_of(recent.index) <= last)]
    joined = update_data(kept, y.rename_axis(recent.index.names))
    is_panel = isinstance(recent.index, pd.MultiIndex)
    left_out: list[tuple[Key, Any]] = []
    gaps: dict[Any, pd.Index] = {}
    for key in new.index.intersection(old.index):
        ends = old["last"][key], new["first"][key]
        # of a series taken back, rows before the first new one may be left
        if new["last"][key] < ends[0]:
            continue
        if ends not in gaps:  # most panels have one such pair, or few
            gaps[ends] = _between(*ends, times_of(recent.index), frequency)
        if len(gaps[ends]) and not fills_gaps:
            raise InputError(
                f"y{of_series(key if is_panel else None)} begins at {ends[1]} in "
                f"update, but the last row known is of {ends[0]}; expected "
                f"{gaps[ends][0]}. Give the {len(gaps[ends])} row(s) between, too, "
                'set missing="mask", or fit again.'
            )
        left_out += [(key, step) for step in gaps[ends]]
    if left_out:
        joined = with_rows(joined, left_out)
    if not is_panel:
        return joined
    order = _keys(recent.index).append(_keys(y.index)).unique()  # joining sorts
    return joined.iloc[
        np.argsort(order.get_indexer(_keys(joined.index)), kind="stable")
    ]


def _keys(index: pd.Index) -> pd.Index:
    """Return the series of each row; 0 for a single one."""
    if isinstance(index, pd.MultiIndex):
        return index.droplevel(-1)
    return pd.Index(np.zeros(len(index), np.int64))


def _ends(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the first and the last time of every series."""
    times, keys = times_of(frame.index), _keys(frame.index)
    by = list(range(keys.nlevels)) if keys.nlevels > 1 else 0
    groups = pd.Series(times, index=keys).groupby(level=by, observed=True)
    return pd.DataFrame({"first": groups.min(), "last": groups.max()})


def _between(
    last: Any, first: Any, times: pd.Index, frequency: pd.offsets.BaseOffset | None
) -> pd.Index:
    """Return all steps after `last` and before `first`; none if that is not on them."""
    if isinstance(times, pd.PeriodIndex):
        steps = pd.period_range(last, first, freq=times.freq)
    elif isinstance(times, pd.DatetimeIndex):
        if frequency is None:
            return times[:0]
        steps = pd.date_range(last, first, freq=frequency)
    else:
        steps = pd.RangeIndex(last, first + 1)
    # what is not regular is explained where series are read
    return steps[1:-1] if len(steps) and steps[-1] == first else steps[:0]
