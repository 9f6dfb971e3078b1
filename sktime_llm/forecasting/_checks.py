"""What is wrong, or odd, with the values and times of series."""

import warnings
from collections.abc import Mapping

import numpy as np
import pandas as pd
from torch import Tensor

from sktime_llm.errors import (
    ConstantSeriesWarning,
    DivergingForecastWarning,
    EmptySeriesWarning,
    ForecastDivergedError,
    InputError,
    OutlierWarning,
    ShortSeriesWarning,
)
from sktime_llm.forecasting._scaling import Scaling
from sktime_llm.forecasting._series import Key, of_series, times_of
from sktime_llm.training.windows import WindowShape

_OUTLIER = 1e4
"""Distance from the median, in interquartile ranges."""
_PEAK = 3.5
"""Minimum of an outlier's distance from the mean, in standard deviations."""
_DIVERGED = 1e3
"""Ratio of forecasts to the values that they are made from."""


def warn_short(series: Mapping[Key, np.ndarray], shape: WindowShape) -> None:
    short = [key for key, values in series.items() if len(values) < shape.total]
    if short:
        warnings.warn(
            f"{len(short)} of {len(series)} series have fewer than the {shape.total} "
            f"rows of a window (context {shape.context_length} and forecast "
            f"{shape.prediction_length}), such as {short[0]!r} with "
            f"{len(series[short[0]])}; they are padded with their first value.",
            ShortSeriesWarning,
            stacklevel=2,
        )


def check_long_enough(series: Mapping[Key, np.ndarray], context_length: int) -> None:
    for key, values in series.items():
        if len(values) < context_length:
            name = "" if key is None else f" (series {key!r})"
            raise InputError(
                f"y{name} has {len(values)} row(s), expected at least the "
                f"{context_length} of a context. Give more of its rows, or leave it "
                "out."
            )


def check_varies(series: Mapping[Key, np.ndarray], columns: pd.Index) -> None:
    """Refuse data of which nothing can be learned; warn where it is some of them."""
    if columns.empty:
        raise InputError("y has 0 columns, expected at least 1: what to forecast.")
    if not any(np.isfinite(values).any() for values in series.values()):
        raise InputError(
            f"y has no value: all of its {max(map(len, series.values()))} rows are "
            "NaN. Expected numbers, and NaN only where one is missing."
        )
    warn_empty(series, columns)
    constant = [key for key, v in series.items() if not _varies(v)]
    if len(constant) == len(series):
        values = max(series.values(), key=lambda v: np.isfinite(v).sum())
        raise InputError(
            f"y never changes: each of its {len(values)} rows is "
            f"{np.fmax.reduce(values).tolist()}. Expected a series that varies; a "
            "constant one is best forecast by sktime's NaiveForecaster."
        )
    if constant:
        warnings.warn(
            f"{len(constant)} of {len(series)} series never change, such as "
            f"{constant[0]!r}; nothing is learned from them.",
            ConstantSeriesWarning,
            stacklevel=2,
        )


def warn_outliers(series: Mapping[Key, pd.DataFrame]) -> None:
    """Warn of values that dwarf all others, which no scaling makes harmless."""
    for key, rows in series.items():
        values = rows.to_numpy(dtype=np.float64)
        if not _has_peak(values):
            continue
        low, middle, high = _quartiles(values)
        spread = np.where(high > low, high - low, np.inf)
        excess = np.abs(values - middle) / spread
        if not (excess > _OUTLIER).any():
            continue
        row, column = np.unravel_index(np.nanargmax(excess), excess.shape)
        warnings.warn(
            f"y{of_series(key)} has {values[row, column]} in column "
            f"{rows.columns[column]!r} at {rows.index[row]}, which is "
            f"{excess[row, column]:.1g} interquartile ranges from the median. What is "
            "learned from such a value spoils all forecasts. Correct it, or replace "
            "it, for example by sktime's HampelFilter and Imputer.",
            OutlierWarning,
            stacklevel=2,
        )
        return


def _has_peak(values: np.ndarray) -> bool:
    """Whether any value is far from the mean; cheaper than quartiles."""
    scaling = Scaling.of(values)
    return bool((np.abs(scaling.apply(values)) > _PEAK).any())


def _quartiles(values: np.ndarray) -> np.ndarray:
    """Quartiles of each channel of (time, channel); NaN where there is no value."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "All-NaN slice", RuntimeWarning)
        return np.nanpercentile(values, [25, 50, 75], axis=0)


def warn_empty(series: Mapping[Key, np.ndarray], columns: pd.Index) -> None:
    empty = [
        (key, column)
        for key, values in series.items()
        for column, there in zip(columns, np.isfinite(values).any(axis=0), strict=True)
        if not there
    ]
    n_variates = len(series) * len(columns)
    if empty:
        key, column = empty[0]
        of_series = "" if key is None else f" of series {key!r}"
        warnings.warn(
            f"{len(empty)} of {n_variates} variates have no value at all, such as "
            f"{column!r}{of_series}. They are forecast around 0, as nothing is known "
            "of their level; leave them out.",
            EmptySeriesWarning,
            stacklevel=2,
        )


def _varies(values: np.ndarray) -> bool:
    """Whether any channel has two different values; NaN is none."""
    lowest, highest = np.fmin.reduce(values), np.fmax.reduce(values)
    return bool((highest > lowest).any())


def check_forecasts(mean: Tensor, context: Tensor, trained_length: int) -> None:
    """Raise if a scaled forecast is not finite; warn if it leaves the data's range."""
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
        warnings.warn(
            f"forecasts reach {ratio:.1g} times the largest value of the context, in "
            f"deviations from the mean. {what_to_do}",
            DivergingForecastWarning,
            stacklevel=2,
        )


def check_times(y: pd.DataFrame, like: pd.DataFrame) -> None:
    now, then = (_kind_of(times_of(frame.index)) for frame in (y, like))
    if now != then:
        raise InputError(
            f"the time index of y is of {now} in update, but fit saw {then}; expected "
            "the same. Convert it, for example by y.to_period(...), y.to_timestamp() "
            "or y.tz_localize(...)."
        )


def in_time_zone_of(like: pd.DataFrame, y: pd.DataFrame) -> pd.DataFrame:
    """Give the same moments in the time zone of a frame that was seen before."""
    zone = getattr(times_of(like.index), "tz", None)
    times = times_of(y.index)
    if zone is None or times.tz is zone:
        return y
    if not isinstance(y.index, pd.MultiIndex):
        return y.set_axis(times.tz_convert(zone))
    levels = y.index.levels[-1].tz_convert(zone)
    return y.set_axis(y.index.set_levels(levels, level=-1))


def _kind_of(times: pd.Index) -> str:
    if isinstance(times, pd.PeriodIndex):
        return f"periods of frequency {times.freqstr!r}"
    if isinstance(times, pd.DatetimeIndex):
        return f"datetimes {'with' if times.tz else 'without'} a time zone"
    return "integers" if pd.api.types.is_integer_dtype(times) else f"{times.dtype}"


def with_columns_of(like: pd.DataFrame, y: pd.DataFrame) -> pd.DataFrame:
    """Check the columns; the name of a Series is no column, and may have been lost."""
    if len(y.columns) == 1 and y.columns[0] in (0, None) and len(like.columns) == 1:
        return y.set_axis(like.columns, axis=1)
    check_columns(y, like)
    return y


def check_columns(y: pd.DataFrame, like: pd.DataFrame) -> None:
    if list(y.columns) != list(like.columns):
        raise InputError(
            f"y has the columns {list(y.columns)} now; fit saw "
            f"{list(like.columns)}. Expected the same columns in the same order."
        )
