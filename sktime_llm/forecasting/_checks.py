"""What is wrong, or odd, with data: as it was given, and as series are read."""

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import compress
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from sktime_llm.errors import (
    ColumnTypeError,
    ConstantSeriesWarning,
    DivergingForecastWarning,
    EmptySeriesWarning,
    ForecastDivergedError,
    InputError,
    OutlierWarning,
    ShortSeriesWarning,
    UnusedCovariatesWarning,
)
from sktime_llm.forecasting._panel import Key, Panel, in_stacks
from sktime_llm.forecasting._regular import of_series
from sktime_llm.forecasting._scaling import Scaling
from sktime_llm.forecasting._series import times_of
from sktime_llm.networks._interface import ForecastNetwork
from sktime_llm.training.windows import WindowShape

_TIME_NAMES = ("ds", "date", "time", "timestamp")
_OUTLIER = 1e4
"""Distance from the median, in interquartile ranges."""
_PEAK = 3.5
"""Minimum of an outlier's distance from the mean, in standard deviations."""
_DIVERGED = 1e3
"""Ratio of forecasts to the values that they are made from."""

# data as a user gives it, before sktime looks at it


@contextmanager
def naming_text_columns(y: Any) -> Iterator[None]:
    """Name the columns that are not numeric where sktime refuses them."""
    try:
        yield
    except TypeError as error:
        frame = _as_frame(y)
        types = {} if frame is None else frame.dtypes.to_dict()
        is_numeric = pd.api.types.is_numeric_dtype
        text = {name: str(t) for name, t in types.items() if not is_numeric(t)}
        if frame is None or not text:
            raise
        raise ColumnTypeError(
            f"{error} These columns of y, with their types, are not numbers: {text}. "
            f"{_what_to_do(frame, list(text))}"
        ) from error


def _as_frame(y: Any) -> pd.DataFrame | None:
    frame = y.to_frame() if isinstance(y, pd.Series) else y
    return frame if isinstance(frame, pd.DataFrame) else None


def _what_to_do(frame: pd.DataFrame, columns: list[Any]) -> str:
    """Suggest an index if the columns look like those of a long table."""
    times = [
        name
        for name in columns
        if name in _TIME_NAMES or pd.api.types.is_datetime64_any_dtype(frame[name])
    ]
    if not times or isinstance(frame.index, pd.MultiIndex):
        return "Convert them, for example by y.astype(float), or leave them out."
    ids = [name for name in columns if name not in times]
    return (
        "If they are the series and the time of each row, make them the index: "
        f"y.set_index({[*ids, times[0]]!r}), times converted by pandas.to_datetime."
    )


def check_ids(y: Any) -> None:
    """Raise if a row of a panel has no id: pandas would leave its series out."""
    index = getattr(y, "index", None)
    if not isinstance(index, pd.MultiIndex):
        return
    for level, codes in enumerate(index.codes[:-1]):
        if (codes == -1).any():
            row = int(np.argmax(codes == -1))
            raise InputError(
                f"y has no id (NaN) in the index level {index.names[level]!r} of row "
                f"{row}, {index[row]}; expected one in each row. Name the series, or "
                "leave its rows out."
            )


def with_plain_ids(y: Any) -> Any:
    """Turn categorical ids into their values: unused categories are not series."""
    index = getattr(y, "index", None)
    if not isinstance(index, pd.MultiIndex) or not any(
        isinstance(level, pd.CategoricalIndex) for level in index.levels
    ):
        return y
    ids = [index.get_level_values(i) for i in range(index.nlevels)]
    plain = [
        each.astype(each.categories.dtype)
        if isinstance(each, pd.CategoricalIndex)
        else each
        for each in ids
    ]
    return y.set_axis(pd.MultiIndex.from_arrays(plain, names=index.names))


def check_numeric(X: Any) -> None:
    """Raise if covariates are not numbers, and say how to make them numbers."""
    frame = _as_frame(X)
    types = {} if frame is None else frame.dtypes.to_dict()
    is_numeric = pd.api.types.is_numeric_dtype
    other = {name: str(t) for name, t in types.items() if not is_numeric(t)}
    if other:
        raise ColumnTypeError(
            f"these columns of X, with their types, are not numbers: {other}. Expected "
            "numbers. Encode categories one-hot, by pd.get_dummies(X, columns="
            f"{list(other)}); take calendar features from times by sktime's "
            "DateTimeFeatures; or leave the columns out."
        )


def check_unused_covariates(
    X: Any, seen: list[Any] | None, owner: str, *, is_fitted: bool
) -> None:
    """Warn in fit that X is not used; raise if X of predict has columns of its own."""
    columns = columns_of(X)
    if not is_fitted and X is not None:
        warnings.warn(
            f"{owner} does not use X; its columns {columns} change nothing: it "
            "forecasts each variate from its own past. Leave X out, or choose "
            "CALFForecaster or LLMTSNetForecaster, which use covariates.",
            UnusedCovariatesWarning,
            stacklevel=2,
        )
    if is_fitted and columns is not None and seen is not None:
        unseen = [name for name in columns if name not in seen]
        if unseen:
            raise InputError(
                f"X has the column(s) {unseen} in predict, which fit did not see; "
                f"expected {seen}. (X is not used by {owner}.)"
            )


def columns_of(X: Any) -> list[Any] | None:
    """Return the names of the columns; None if they have no names."""
    if X is None:
        return []
    if isinstance(X, pd.Series):
        return None if X.name is None else [X.name]
    return list(X.columns) if isinstance(X, pd.DataFrame) else None


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
        warnings.warn(f"{found}.", ShortSeriesWarning, stacklevel=2)


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
        warnings.warn(
            f"{len(constant)} of {len(series)} series never change, such as "
            f"{constant[0]!r}; nothing is learned from them.",
            ConstantSeriesWarning,
            stacklevel=2,
        )


def warn_empty(series: Mapping[Key, np.ndarray], columns: pd.Index) -> None:
    """Warn of variates without any value."""
    empty = np.argwhere(~_of_each(series, lambda v: np.isfinite(v).any(axis=1)))
    if len(empty):
        key, column = list(series)[empty[0, 0]], columns[empty[0, 1]]
        owner = "" if key is None else f" of series {key!r}"
        warnings.warn(
            f"{len(empty)} of {len(series) * len(columns)} variates have no value at "
            f"all, such as {column!r}{owner}. They are forecast around 0, as nothing "
            "is known of their level; leave them out.",
            EmptySeriesWarning,
            stacklevel=2,
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
        warnings.warn(
            f"y{of_series(key)} has {values[row, column]} in column "
            f"{panel.rows.columns[column]!r} at {panel.index_of(i)[row]}, which is "
            f"{excess[row, column]:.1g} interquartile ranges from the median. What is "
            "learned from such a value spoils all forecasts. Correct it, or replace "
            "it, for example by sktime's HampelFilter and Imputer.",
            OutlierWarning,
            stacklevel=2,
        )
        return


def _has_outlier(stack: np.ndarray) -> np.ndarray:
    """Tell which of (series, time, channel) have an outlier."""
    # cheaper than quartiles, which most series then do not need
    scaling = Scaling.of_stack(stack)
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
        warnings.warn(
            f"forecasts reach {ratio:.1g} times the largest value of the context, in "
            f"deviations from the mean. {what_to_do}",
            DivergingForecastWarning,
            stacklevel=2,
        )
