"""What is wrong, or odd, with the series that a forecaster is given."""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd

from sktime_llm.errors import (
    ColumnTypeError,
    ConstantSeriesWarning,
    EmptySeriesWarning,
    InputError,
    ShortSeriesWarning,
)
from sktime_llm.forecasting._series import Key, of_series, times_of
from sktime_llm.training.windows import WindowShape


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


def check_complete(y: Any) -> None:
    """Refuse missing values, and say where the first one is."""
    frame = y.to_frame() if isinstance(y, pd.Series) else y
    if not isinstance(frame, pd.DataFrame) or not frame.isna().any(axis=None):
        return
    missing = frame.isna().to_numpy()
    row, column = np.argwhere(missing)[0]
    time: Any = frame.index[row]
    key = None
    if isinstance(frame.index, pd.MultiIndex):
        *keys, time = time
        key = keys[0] if len(keys) == 1 else tuple(keys)
    raise InputError(
        f"y{of_series(key)} has {missing.sum()} missing value(s) (NaN), expected none. "
        f"The first is in column {frame.columns[column]!r} at {time}. Fill them first, "
        "for example by sktime.transformations.series.impute.Imputer in a pipeline, or "
        "use a forecaster that takes missing values, such as LLMTSNetForecaster."
    )


@contextmanager
def naming_text_columns(y: Any) -> Iterator[None]:
    """Say which columns are meant where sktime refuses what is no number."""
    try:
        yield
    except TypeError as error:
        frame = y.to_frame() if isinstance(y, pd.Series) else y
        if not isinstance(frame, pd.DataFrame):
            raise
        text = {
            name: str(dtype)
            for name, dtype in zip(frame.columns, frame.dtypes, strict=True)
            if not pd.api.types.is_numeric_dtype(dtype)
        }
        if not text:
            raise
        raise ColumnTypeError(
            f"{error} These columns of y, with their types, are no numbers: {text}. "
            "Convert them, for example by y.astype(float), or leave them out."
        ) from error


def columns_of(X: Any) -> list[Any] | None:
    """Name the columns; None where they have no names."""
    if X is None:
        return []
    if isinstance(X, pd.Series):
        return None if X.name is None else [X.name]
    return list(X.columns) if isinstance(X, pd.DataFrame) else None


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


def check_columns(y: pd.DataFrame, like: pd.DataFrame) -> None:
    if list(y.columns) != list(like.columns):
        raise InputError(
            f"y has the columns {list(y.columns)} now; fit saw "
            f"{list(like.columns)}. Expected the same columns in the same order."
        )
