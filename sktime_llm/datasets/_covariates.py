"""Covariates that are known in the future: rows after the last value of a series."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from sktime_llm.errors import InputError

if TYPE_CHECKING:
    from sktime.forecasting.base import BaseForecaster


def check_takes_covariates(forecaster: "BaseForecaster") -> None:
    """Raise if a forecaster would leave covariates unused."""
    if not forecaster.get_tag("capability:exogenous"):
        raise InputError(
            f"Got covariates, but {type(forecaster).__name__} takes none. Leave them "
            "out, or choose CALF, LLM-TS Net or AutoARIMA."
        )


def up_to_last_value(values: pd.DataFrame, series: np.ndarray) -> np.ndarray:
    """Mark the rows of each series up to the last one with a value, (row,)."""
    has_value = pd.Series(values.notna().any(axis=1).to_numpy()[::-1])
    return has_value.groupby(series[::-1]).cummax().to_numpy()[::-1]


def split_covariates(
    table: pd.DataFrame, targets: Sequence[Any], covariates: Sequence[Any]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rows of targets that are known, and all rows of the covariates.

    A series without any value of the targets is an error.
    """
    series = _numbers(table.index)
    known = up_to_last_value(table[list(targets)], series)
    without = np.setdiff1d(series, series[known])
    if len(without):
        first = table.index[(series == without[0]).argmax()]
        of = f" in the series {_joined(first[:-1])!r}" * (table.index.nlevels > 1)
        raise InputError(
            f"There is no value of {', '.join(map(repr, targets))}{of}; expected at "
            "least one to forecast from. Fill them in, or remove the rows."
        )
    return table.loc[known, list(targets)], table[list(covariates)]


def rows_ahead(y: pd.Series | pd.DataFrame, X: pd.DataFrame, horizon: int) -> Any:
    """Return the rows of X at the steps to forecast after the end of each series.

    An error names the series that lacks some, or the covariate without a value there.
    """
    ahead = X[~X.index.isin(y.index)]
    ahead = ahead.groupby(_numbers(ahead.index)).head(horizon)
    ids = list(range(y.index.nlevels - 1))
    if ids:
        known, names = y.index.droplevel(-1), ahead.index.droplevel(-1)
        counts = names.value_counts().reindex(known.unique(), fill_value=0)
    else:
        counts = pd.Series([len(ahead)], [""])
    if counts.min() < horizon:
        key = counts.idxmin()
        of = f" of the series {_joined(key)!r}" if ids else ""
        raise InputError(
            f"The covariates {', '.join(map(str, X.columns))} are known for "
            f"{counts.min()} of the {horizon} steps after the last value{of}; expected "
            "all. Add rows with the covariates and without a value of the target, or "
            "forecast fewer steps."
        )
    missing = np.argwhere(ahead.isna().to_numpy())
    if len(missing):
        row, column = missing[0]
        raise InputError(
            f"The covariate {ahead.columns[column]!r} has no value at "
            f"{_joined(ahead.index[row])}, a step to forecast; expected one at each. "
            "Fill it in, forecast fewer steps, or leave the covariate out."
        )
    return ahead


def _numbers(index: pd.Index) -> np.ndarray:
    """Return the number of the series of each row."""
    if index.nlevels == 1:
        return np.zeros(len(index), dtype=int)
    return pd.factorize(index.droplevel(-1))[0]


def _joined(key: Any) -> str:
    return " / ".join(map(str, key)) if isinstance(key, tuple) else str(key)
