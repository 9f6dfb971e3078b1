"""MASE, averaged over the series that change from season to season."""

import warnings

import numpy as np
import pandas as pd

from sktime_llm.datasets import Dataset
from sktime_llm.errors import InputError, UndefinedScoreWarning

# A seasonal change is only rounding if it is a smaller part than this of the values.
_ROUNDING = 1e-12
_SMALLEST_CHANGE = 1e-100

_MAX_NAMES = 10


def find_scalable(dataset: Dataset, n_folds: int) -> pd.DataFrame:
    """Mark the series that have a MASE, (instance, variate); warn of the others.

    MASE divides by the mean change of a series over one season of its training rows.
    The first fold decides: all other folds begin with its rows, so a series that
    changes in the first fold changes in all of them.
    """
    y = dataset.y.to_frame() if dataset.y.ndim == 1 else dataset.y
    y_train = y.groupby(_instances(y)).head(-n_folds * dataset.horizon)
    by = _instances(y_train)
    changes = y_train.groupby(by).diff(dataset.seasonal_period).abs()
    mean_change = changes.groupby(by).mean()
    # Also false where too many values are missing for a change to be known.
    rounding = _ROUNDING * y_train.abs().groupby(by).max()
    scalable = mean_change > rounding.clip(lower=_SMALLEST_CHANGE)
    # Nullable booleans of several columns would be objects in arrays.
    scalable = scalable.fillna(False).astype(bool)
    if not scalable.any(axis=None):
        raise InputError(_describe_none(dataset, scalable.size))
    if not scalable.all(axis=None):
        message = _describe_some(dataset, scalable)
        warnings.warn(message, UndefinedScoreWarning, stacklevel=3)
    return scalable


def _instances(y: pd.DataFrame) -> list[pd.Index | np.ndarray]:
    """Return the instance of each row; a single series is the instance 0."""
    levels = range(y.index.nlevels - 1)
    return [y.index.get_level_values(i) for i in levels] or [np.zeros(len(y), int)]


def _describe_none(dataset: Dataset, n_series: int) -> str:
    what = f"none of the {n_series} series shows a" if n_series > 1 else "there is no"
    return (
        f"The data set {dataset.name!r} has no MASE, which divides by the change over "
        f"one season: in the training rows of the first fold, {what} change over "
        f"{_steps(dataset)} beyond rounding. Expected at least one series with such a "
        f"change. Use another seasonal period, or fewer folds or a shorter horizon, "
        f"which leave more rows to train on, or leave the data set out."
    )


def _describe_some(dataset: Dataset, scalable: pd.DataFrame) -> str:
    left_out = np.argwhere(~scalable.to_numpy())
    names = [_name(dataset, scalable, i, j) for i, j in left_out[:_MAX_NAMES]]
    more = len(left_out) - len(names)
    listed = ", ".join(names) + (f" and {more} more" if more else "")
    return (
        f"{dataset.name}: MASE leaves out {len(left_out)} of {scalable.size} series, "
        f"which in the training rows of the first fold show no change over "
        f"{_steps(dataset)} beyond rounding: {listed}. sMAPE and MAE count all."
    )


def _steps(dataset: Dataset) -> str:
    season = dataset.seasonal_period
    return f"one season ({season} steps)" if season > 1 else "one step"


def _name(dataset: Dataset, scalable: pd.DataFrame, i: int, j: int) -> str:
    """Name a series by its instance and, if there are several, by its column."""
    column = f"column {scalable.columns[j]!r}"
    if dataset.y.index.nlevels == 1:
        return column
    key = scalable.index[i]
    instance = " / ".join(map(str, key)) if isinstance(key, tuple) else str(key)
    return f"{column} of {instance!r}" if scalable.shape[1] > 1 else repr(instance)


def mean_absolute_scaled_error(
    fold: pd.Series, seasonal_period: int, scalable: pd.DataFrame
) -> float:
    """Average the MASE of one fold over the scalable series."""
    from sktime.performance_metrics.forecasting import MeanAbsoluteScaledError

    metric = MeanAbsoluteScaledError(
        multioutput="raw_values",
        multilevel="raw_values",
        sp=seasonal_period,
        # Below the scale of every series that is kept.
        eps=_SMALLEST_CHANGE,
    )
    scores = metric(fold["y_test"], fold["y_pred"], y_train=fold["y_train"])
    # One row per instance; sktime gives a single series as a column.
    table = scores if fold["y_test"].index.nlevels > 1 else scores.T
    kept = scalable.reindex(table.index).to_numpy()
    return float(pd.Series(table.to_numpy()[kept]).mean())
