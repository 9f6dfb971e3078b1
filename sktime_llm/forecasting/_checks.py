"""What is wrong, or odd, with data as series are read."""

from collections.abc import Callable, Mapping
from itertools import compress

import numpy as np
import pandas as pd
from torch import Tensor

from sktime_llm._warn import warn
from sktime_llm.errors import (
    ConstantSeriesWarning,
    DivergingForecastWarning,
    EmptySeriesWarning,
    ForecastDivergedError,
    InputError,
    OutlierWarning,
    ShortSeriesWarning,
)
from sktime_llm.forecasting._panel import Key, Panel, in_stacks
from sktime_llm.forecasting._regular import of_series
from sktime_llm.forecasting._scaling import Scaling
from sktime_llm.forecasting._series import times_of
from sktime_llm.networks._interface import ForecastNetwork
from sktime_llm.training.windows import WindowShape

_OUTLIER = 1e4
"""Distance from the median, in interquartile ranges."""
_PEAK = 3.5
"""Minimum of an outlier's distance from the mean, in standard deviations."""
_DIVERGED = 1e3
"""Ratio of forecasts to the values that they are made from."""

# rows of an update, compared with those of fit


def check_times(y: pd.DataFrame, like: pd.DataFrame) -> None:
    """Raise if times are of another kind or frequency, or the levels others."""
    if y.index.nlevels != like.index.nlevels:
        raise InputError(
            f"the index of y has {y.index.nlevels} level(s) in update, but fit saw "
            f"{like.index.nlevels}; expected the same: the ids of a series, if there "
            "are several, and the time."
        )
    now, then = (kind_of(times_of(frame.index)) for frame in (y, like))
    if now != then:
        raise InputError(
            f"the time index of y is of {now} in update, but fit saw {then}; expected "
            "the same. Convert it, for example by y.to_period(...), y.to_timestamp() "
            "or y.tz_localize(...)."
        )


def check_kind_of_times(X: pd.DataFrame, y: pd.DataFrame) -> None:
    """Raise if times of covariates are of another kind than those of the series."""
    of_X, of_y = (kind_of(times_of(frame.index)) for frame in (X, y))
    if of_X != of_y:
        raise InputError(
            f"the time index of X is of {of_X}, that of y of {of_y}; expected the "
            "same. Convert it, for example by X.to_period(...), X.to_timestamp() or "
            "X.tz_localize(...)."
        )


def kind_of(times: pd.Index) -> str:
    """Say of which kind times are; those of one kind can be compared."""
    if isinstance(times, pd.PeriodIndex):
        return f"periods of frequency {times.freqstr!r}"
    if isinstance(times, pd.DatetimeIndex):
        return f"datetimes {'with' if times.tz else 'without'} a time zone"
    return "integers" if pd.api.types.is_integer_dtype(times) else f"{times.dtype}"


def in_time_zone_of(like: pd.DataFrame, y: pd.DataFrame) -> pd.DataFrame:
    """Return the same moments in the time zone of a frame that was seen before."""
    zone = getattr(times_of(like.index), "tz", None)
    if zone is None or times_of(y.index).tz is zone:
        return y
    return y.tz_convert(zone, level=-1 if isinstance(y.index, pd.MultiIndex) else None)


def with_columns_of(like: pd.DataFrame, y: pd.DataFrame) -> pd.DataFrame:
    """Check the columns; the name of a Series is no column, and may be there or not."""
    is_one = len(y.columns) == len(like.columns) == 1
    if is_one and {y.columns[0], like.columns[0]} & {0, None}:
        return y.set_axis(like.columns, axis=1)
    check_columns(y, like)
    return y


def check_columns(y: pd.DataFrame, like: pd.DataFrame) -> None:
    """Raise if the columns are not those of a frame that was seen before."""
    if list(y.columns) != list(like.columns):
        raise InputError(
            f"y has the columns {list(y.columns)} now; fit saw "
            f"{list(like.columns)}. Expected the same columns in the same order."
        )


# a pretrained network


def check_quantiles(network: ForecastNetwork, intervals: str | None) -> None:
    """Raise if a pretrained network lacks the quantiles that are asked for."""
    if intervals == "quantiles" and network.quantile_head is None:
        raise InputError(
            'intervals="quantiles", but the pretrained network was made without. Set '
            'it before pretrain, or set intervals="conformal".'
        )


# values and lengths of series


def warn_short(series: Mapping[Key, np.ndarray], shape: WindowShape) -> None:
    """Warn of series that are shorter than a window."""
    short = [key for key, values in series.items() if len(values) < shape.total]
    if short:
        n_rows = len(series[short[0]])
        of_window = (
            f"fewer than the {shape.total} rows of a window (context "
            f"{shape.context_length} and forecast {shape.prediction_length})"
        )
        if short[0] is None:
            found = f"y has {n_rows} rows, {of_window}; it is padded with its first row"
        else:
            found = (
                f"{len(short)} of {len(series)} series have {of_window}, such as "
                f"{short[0]!r} with {n_rows}; they are padded with their first row"
            )
        warn(f"{found}.", ShortSeriesWarning)


def check_observed(series: Mapping[Key, np.ndarray], columns: pd.Index) -> None:
    """Raise if there is no value at all; warn of variates without any."""
    if columns.empty:
        raise InputError("y has 0 columns, expected at least 1: what to forecast.")
    is_observed = _of_each(series, lambda v: np.isfinite(v).any(axis=1))
    if not is_observed.any():
        raise InputError(
            f"y has no value: all of its {max(map(len, series.values()))} rows are "
            "NaN. Expected numbers, and NaN only where one is missing."
        )
    warn_empty(series, columns)


def check_varies(series: Mapping[Key, np.ndarray]) -> None:
    """Raise if nothing can be learned of any series; warn if of some."""
    varies = _of_each(
        series, lambda v: np.fmax.reduce(v, axis=1) > np.fmin.reduce(v, axis=1)
    )
    constant = list(compress(series, np.atleast_1d(~varies.any(axis=1))))
    if len(constant) == len(series):
        values = max(series.values(), key=lambda v: np.isfinite(v).sum())
        raise InputError(
            f"y never changes: each of its {len(values)} rows is "
            f"{np.fmax.reduce(values).tolist()}. Expected a series that varies; a "
            "constant one is best forecast by sktime's NaiveForecaster."
        )
    if constant:
        warn(
            f"{len(constant)} of {len(series)} series never change, such as "
            f"{constant[0]!r}; nothing is learned from them.",
            ConstantSeriesWarning,
        )


def warn_empty(series: Mapping[Key, np.ndarray], columns: pd.Index) -> None:
    """Warn of variates without any value."""
    empty = np.argwhere(~_of_each(series, lambda v: np.isfinite(v).any(axis=1)))
    if len(empty):
        key, column = list(series)[empty[0, 0]], columns[empty[0, 1]]
        owner = "" if key is None else f" of series {key!r}"
        warn(
            f"{len(empty)} of {len(series) * len(columns)} variates have no value at "
            f"all, such as {column!r}{owner}. They are forecast around 0, as nothing "
            "is known of their level; leave them out.",
            EmptySeriesWarning,
        )


def _of_each(
    series: Mapping[Key, np.ndarray], reduce: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Reduce series to (series, ...), in stacks of (series, time, channel)."""
    parts = [(n, reduce(stack)) for n, stack in in_stacks(list(series.values()))]
    reduced = np.concatenate([part for _, part in parts])
    order = np.concatenate([numbers for numbers, _ in parts])
    return reduced[np.argsort(order)]


def warn_outliers(
    panel: Panel, series: Mapping[Key, np.ndarray], new: pd.Index | None = None
) -> None:
    """Warn of values that dwarf all others, which no scaling makes harmless.

    Where `new` rows are given, others are only compared with.
    """
    for i in np.flatnonzero(_of_each(series, _has_outlier)).tolist():
        key, rows = panel.keys[i], slice(*panel.bounds[i : i + 2])
        values, excess = series[key], _excess(series[key][None])[0]
        if new is not None:
            excess[~panel.rows.index[rows].isin(new)] = np.nan
        if not (excess > _OUTLIER).any():
            continue
        row, column = np.unravel_index(np.nanargmax(excess), excess.shape)
        warn(
            f"y{of_series(key)} has {values[row, column]} in column "
            f"{panel.rows.columns[column]!r} at {panel.index_of(i)[row]}, which is "
            f"{excess[row, column]:.1g} interquartile ranges from the median. What is "
            "learned from such a value spoils all forecasts. Correct it, or replace "
            "it, for example by sktime's HampelFilter and Imputer.",
            OutlierWarning,
        )
        return


def _has_outlier(stack: np.ndarray) -> np.ndarray:
    """Tell which of (series, time, channel) have an outlier."""
    # cheaper than quartiles, which most series then do not need
    scaling = Scaling.of(stack)
    distance = np.abs(stack - scaling.loc[:, None]) / scaling.scale[:, None]
    found = (distance > _PEAK).any(axis=(1, 2))
    if found.any():
        found[found] = (_excess(stack[found]) > _OUTLIER).any(axis=(1, 2))
    return found


def _excess(stack: np.ndarray) -> np.ndarray:
    """Return distances from the median, in interquartile ranges."""
    n_series, n_rows, n_channels = stack.shape
    by_row = stack.transpose(1, 0, 2).reshape(n_rows, n_series * n_channels)
    quartiles = pd.DataFrame(by_row).quantile([0.25, 0.5, 0.75]).to_numpy()
    low, middle, high = quartiles.reshape(3, n_series, 1, n_channels)
    return np.abs(stack - middle) / np.where(high > low, high - low, np.inf)


def check_forecasts(mean: Tensor, context: Tensor, trained_length: int) -> None:
    """Raise if a scaled forecast is not finite; warn if it leaves the data's range."""
    what_to_do = "Fit with a smaller learning_rate or more data."
    if mean.shape[1] > trained_length:
        what_to_do = (
            f"{mean.shape[1]} steps were forecast by rolling forward forecasts of "
            f"{trained_length}. Fit with a longer prediction_length, a smaller "
            "learning_rate or more data."
        )
    bad = ~mean.isfinite()
    if bad.any():
        step = int(bad.any(dim=2).any(dim=0).nonzero()[0]) + 1
        raise ForecastDivergedError(
            f"forecasts are infinite or NaN from step {step} on. {what_to_do}"
        )
    usual = context.nan_to_num().abs().amax(dim=(1, 2)).clamp(min=1)
    ratio = float((mean.abs().amax(dim=(1, 2)) / usual).max())
    if ratio > _DIVERGED:
        warn(
            f"forecasts reach {ratio:.1g} times the largest value of the context, in "
            f"deviations from the mean. {what_to_do}",
            DivergingForecastWarning,
        )
