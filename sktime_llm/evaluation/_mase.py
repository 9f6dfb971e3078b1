"""MASE, averaged over the series that change from season to season."""

import warnings

import numpy as np
import pandas as pd

from sktime_llm.datasets import Dataset
from sktime_llm.datasets._source import listed
from sktime_llm.errors import InputError, UndefinedScoreWarning
from sktime_llm.evaluation._data import join_ids

# A seasonal change is only rounding if it is a smaller part than this of the values.
_ROUNDING = 1e-12
_SMALLEST_CHANGE = 1e-100


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
    season = dataset.seasonal_period
    steps = f"one season ({season} steps)" if season > 1 else "one step"
    n = scalable.size
    if not scalable.any(axis=None):
        what = f"none of the {n} series shows a" if n > 1 else "there is no"
        raise InputError(
            f"The data set {dataset.name!r} has no MASE, which divides by the change "
            f"over one season: in the training rows of the first fold, {what} change "
            f"over {steps} beyond rounding. Expected at least one series with such a "
            f"change. Use another seasonal period, or fewer folds or a shorter "
            f"horizon, which leave more rows to train on, or leave the data set out."
        )
    left_out = [_name(y, scalable, i, j) for i, j in np.argwhere(~scalable.to_numpy())]
    if left_out:
        message = (
            f"{dataset.name}: MASE leaves out {len(left_out)} of {n} series, which in "
            f"the training rows of the first fold show no change over {steps} beyond "
            f"rounding: {listed(left_out)}. sMAPE and MAE count all."
        )
        warnings.warn(message, UndefinedScoreWarning, stacklevel=3)
    return scalable


def _instances(y: pd.DataFrame) -> list[pd.Index | np.ndarray]:
    """Return the instance of each row; a single series is the instance 0."""
    levels = range(y.index.nlevels - 1)
    return [y.index.get_level_values(i) for i in levels] or [np.zeros(len(y), int)]


def _name(y: pd.DataFrame, scalable: pd.DataFrame, i: int, j: int) -> str:
    """Name a series by its instance and, if there are several, by its column."""
    column = f"column {scalable.columns[j]!r}"
    if y.index.nlevels == 1:
        return column
    instance = repr(join_ids(scalable.index[i]))
    return f"{column} of {instance}" if scalable.shape[1] > 1 else instance


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
