"""Covariates that are known in the future: rows after the last value of a series."""

from collections.abc import Container, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from sktime_llm._frequency import infer_frequency
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


def past_covariates_of(forecaster: "BaseForecaster") -> set[Any]:
    """Return the covariates whose future a forecaster, or one within it, leaves out."""
    parameters = forecaster.get_params().items()
    every = (names for key, names in parameters if key.endswith("past_covariates"))
    return {name for names in every for name in names}


def up_to_last_value(
    values: pd.DataFrame, series: np.ndarray, times: pd.Index | pd.Series
) -> np.ndarray:
    """Mark the rows of each series up to the last time with a value, (row,)."""
    at = pd.factorize(times, sort=True)[0]
    has_value = values.notna().any(axis=1).to_numpy()
    last = np.full(series.max() + 1, -1)
    np.maximum.at(last, series[has_value], at[has_value])
    return at <= last[series]


def split_covariates(
    table: pd.DataFrame, targets: Sequence[Any], covariates: Sequence[Any]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rows of targets that are known, and all rows of the covariates.

    A series without any value of the targets is an error, and so are two rows of one
    time and covariates that are no numbers.
    """
    if table.index.has_duplicates:
        twice = _joined(table.index[table.index.duplicated()][0])
        raise InputError(
            f"There is more than one row at {twice}; expected one at each time of a "
            "series. Aggregate or remove rows first."
        )
    series = _numbers(table.index)
    times = table.index.get_level_values(-1)
    known = up_to_last_value(table[list(targets)], series, times)
    without = np.setdiff1d(series, series[known])
    if len(without):
        first = table.index[(series == without[0]).argmax()]
        of = f" in the series {_joined(first[:-1])!r}" * (table.index.nlevels > 1)
        raise InputError(
            f"There is no value of {', '.join(map(repr, targets))}{of}; expected at "
            "least one to forecast from. Fill them in, or remove the rows."
        )
    X = pd.DataFrame({name: _as_numbers(table[name]) for name in covariates})
    return table.loc[known, list(targets)], X


def _as_numbers(values: pd.Series) -> pd.Series:
    try:
        return values.astype("float64")
    except (TypeError, ValueError) as error:
        raise InputError(
            f"The covariate {values.name!r} has the type {values.dtype}, such as "
            f"{values.iloc[0]!r}; expected numbers. Encode it as numbers first."
        ) from error


def rows_ahead(
    y: pd.Series | pd.DataFrame,
    X: pd.DataFrame,
    horizon: int,
    past_covariates: Container[Any],
) -> pd.DataFrame | None:
    """Return the rows of X at the steps to forecast after the end of each series.

    None if all covariates are of the past only. An error names the series that lacks
    rows, or the covariate without a value there.
    """
    future = [name for name in X if name not in past_covariates]
    if not future:
        return None
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
            f"The covariates {', '.join(map(str, future))} are known for "
            f"{counts.min()} of the {horizon} steps after the last value{of}; expected "
            "all. Add rows with the covariates and without a value of the target, or "
            "forecast fewer steps."
        )
    _check_steps(y.index, ahead.index)
    missing = np.argwhere(ahead[future].isna().to_numpy())
    if len(missing):
        row, column = missing[0]
        raise InputError(
            f"The covariate {future[column]!r} has no value at "
            f"{_joined(ahead.index[row])}, a step to forecast; expected one at each. "
            "Fill it in, forecast fewer steps, leave the covariate out, or, if the "
            "forecaster has it, name it in past_covariates."
        )
    return ahead


def _check_steps(known: pd.Index, ahead: pd.Index) -> None:
    """Raise if rows are not of the steps right after the last one of their series."""
    index = known.append(ahead)
    series, times = _numbers(index), index.get_level_values(-1)
    table = pd.DataFrame({"series": series, "step": _step_numbers(times)})
    table["row"] = np.arange(len(index))
    table = table.sort_values(["series", "step"])
    steps = table.groupby("series")["step"].diff()
    skipped = (steps != 1) & (table["row"] >= len(known))
    if skipped.any():
        at = int(skipped.to_numpy().argmax())
        before, after = (index[row] for row in table["row"].iloc[[at - 1, at]])
        raise InputError(
            f"The covariates have no row right after {_joined(before)}, a step to "
            f"forecast; the next one is {_joined(after)}. Add the missing rows."
        )


def _step_numbers(times: pd.Index) -> np.ndarray:
    """Return how many steps each time is after one that all share, (row,)."""
    if isinstance(times, pd.PeriodIndex):
        return times.asi8 // times.freq.n
    if not isinstance(times, pd.DatetimeIndex):
        return times.to_numpy()
    stamps = times.unique().sort_values()
    alias = infer_frequency(stamps)
    if alias is None:
        raise InputError(
            f"The times, from {stamps[0]} to {stamps[-1]}, have no frequency that "
            "pandas can infer, so that the steps to forecast are unknown; expected "
            "regular times. Make them periods, such as by "
            "frame[time_column].dt.to_period('M')."
        )
    return pd.date_range(stamps[0], stamps[-1], freq=alias).get_indexer(times)


def _numbers(index: pd.Index) -> np.ndarray:
    """Return the number of the series of each row."""
    if index.nlevels == 1:
        return np.zeros(len(index), dtype=int)
    return pd.factorize(index.droplevel(-1))[0]


def _joined(key: Any) -> str:
    return " / ".join(map(str, key)) if isinstance(key, tuple) else str(key)
