"""What is wrong, or odd, with the series that a forecaster is given."""

import warnings

import numpy as np
import pandas as pd

from sktime_llm.errors import ConstantSeriesWarning, InputError, ShortSeriesWarning
from sktime_llm.forecasting._series import Key
from sktime_llm.training.windows import WindowShape


def warn_short(series: dict[Key, np.ndarray], shape: WindowShape) -> None:
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


def check_long_enough(series: dict[Key, np.ndarray], context_length: int) -> None:
    for key, values in series.items():
        if len(values) < context_length:
            name = "" if key is None else f" (series {key!r})"
            raise InputError(
                f"y{name} has {len(values)} row(s), expected at least the "
                f"{context_length} of a context. Give more of its rows, or leave it "
                "out."
            )


def check_not_constant(series: dict[Key, np.ndarray]) -> None:
    constant = [key for key, v in series.items() if not _varies(v)]
    if len(constant) == len(series):
        values = next(iter(series.values()))
        raise InputError(
            f"y never changes: each of its {len(values)} rows is "
            f"{values[0].tolist()}. Expected a series that varies; a constant one is "
            "best forecast by sktime's NaiveForecaster."
        )
    if constant:
        warnings.warn(
            f"{len(constant)} of {len(series)} series never change, such as "
            f"{constant[0]!r}; nothing is learned from them.",
            ConstantSeriesWarning,
            stacklevel=2,
        )


def _varies(values: np.ndarray) -> bool:
    """Whether any channel has two different values; NaN is none."""
    lowest, highest = np.fmin.reduce(values), np.fmax.reduce(values)
    return bool((highest > lowest).any())


def check_columns(y: pd.DataFrame, like: pd.DataFrame) -> None:
    if list(y.columns) != list(like.columns):
        raise InputError(
            f"y has the columns {list(y.columns)} now; fit saw "
            f"{list(like.columns)}. Expected the same columns in the same order."
        )
