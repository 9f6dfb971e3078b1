"""The data sets of a comparison, and the series of them that have a MASE."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from sktime_llm._frequency import advice_on_clocks
from sktime_llm._validation import check_parameters, instance_of, integer
from sktime_llm._warn import warn
from sktime_llm.datasets import Dataset, infer_seasonal_period
from sktime_llm.datasets._source import listed
from sktime_llm.errors import InputError, UndefinedScoreWarning

_CONSTRAINTS = {"seasonal_period": integer(1), "horizon": integer(1)}
_X = instance_of(pd.DataFrame, expected="a pandas.DataFrame of covariates")
_DATA = instance_of(Dataset, expected="a pandas object, a Dataset or several of them")

# A seasonal change is only rounding if it is a smaller part than this of the values.
_ROUNDING = 1e-12
SMALLEST_CHANGE = 1e-100


def as_datasets(
    data: Dataset | Iterable[Dataset] | pd.Series | pd.DataFrame,
    horizon: int | None,
    seasonal_period: int | None,
    X: pd.DataFrame | None = None,
) -> list[Dataset]:
    """Return the data sets with the horizon and seasonal period that were asked for.

    The covariates X go with a pandas object; a `Dataset` has its own.
    """
    if isinstance(data, (pd.Series, pd.DataFrame)):
        if horizon is None:
            raise InputError("Give the horizon: the number of steps to forecast.")
        name = (data.name if data.ndim == 1 else None) or "data"
        datasets = [Dataset(str(name), data, infer_seasonal_period(data), horizon, X)]
    elif X is not None:
        raise InputError(
            "Got X beside a Dataset; expected it beside a pandas object. Give it to "
            "the Dataset itself."
        )
    else:
        datasets = list(data) if isinstance(data, Iterable) else [data]
    for one in datasets:
        _DATA.check("data", one)
        _check_index(one)
    names = [dataset.name for dataset in datasets]
    if not names or len(set(names)) < len(names):
        raise InputError(
            f"Got the data sets {names}; expected at least one, each with its own name."
        )
    changes = {"horizon": horizon, "seasonal_period": seasonal_period}
    given: dict[str, Any] = {k: v for k, v in changes.items() if v is not None}
    plain = [replace(one, y=_with_plain_ids(one.name, one.y)) for one in datasets]
    return [replace(one, X=_covariates(one), **given) for one in plain]


def _covariates(dataset: Dataset) -> pd.DataFrame | None:
    """Return the covariates at the rows of the data set, which must all be there."""
    if dataset.X is None:
        return None
    from sktime_llm.forecasting._checks import check_kind_of_times

    _X.check("X", dataset.X)
    X, index = _with_plain_ids(dataset.name, dataset.X), dataset.y.index
    check_kind_of_times(X, dataset.y)
    places = np.full(len(index), -1)
    if X.index.is_unique:
        places = X.index.get_indexer(index)
    if (places < 0).any():
        raise InputError(
            f"The covariates X of the data set {dataset.name!r} have no row, or more "
            f"than one, at {index[int((places < 0).argmax())]}; expected one at each "
            "time of each series. Add the rows, or leave X out."
        )
    return X.iloc[places].set_axis(index)


def _check_index(dataset: Dataset) -> None:
    """Raise if times are repeated, or those of a series are not in order."""
    index, got = dataset.y.index, ""
    times = index.get_level_values(-1)
    if index.has_duplicates:
        got = f"has {index[index.duplicated()][0]} more than once"
    else:
        order = pd.Series(index.get_level_values(-1).factorize(sort=True)[0])
        by = instances_of(dataset.y)
        early = order.groupby(by, dropna=False, observed=True).diff() < 0
        if early.any():
            got = f"has {index[early.argmax()]} after later times"
    if got:
        raise InputError(
            f"The index of the data set {dataset.name!r} {got}; expected each time "
            "once, in order. Remove or aggregate repeated rows, and sort all"
            f"{advice_on_clocks(times) if index.has_duplicates else ''}."
        )


def _with_plain_ids(name: str, data: Any) -> Any:
    """Name all levels, turn categorical ids into values, and refuse missing ids."""
    index = data.index
    if index.nlevels == 1:
        return data
    ids = [index.get_level_values(i) for i in range(index.nlevels - 1)]
    if any(level.hasnans for level in ids):
        raise InputError(
            f"In the data set {name!r}, rows have no id; expected one in every "
            f"row. Fill the ids in, or remove the rows."
        )
    plain = pd.MultiIndex.from_arrays(
        [level.astype(getattr(level, "categories", level).dtype) for level in ids]
    )
    named = [f"level {i}" if n is None else n for i, n in enumerate(index.names)]
    # the times as they are, which may be known to be business days
    levels, codes = [*plain.levels, index.levels[-1]], [*plain.codes, index.codes[-1]]
    return data.set_axis(pd.MultiIndex(levels, codes, names=named))


def join_ids(key: object) -> str:
    """Name a series by its id, or by its ids from the top level down."""
    return " / ".join(map(str, key)) if isinstance(key, tuple) else str(key)


def check_length(dataset: Dataset, n_folds: int) -> None:
    """Raise an error if the folds leave too little to train on."""
    check_parameters(vars(dataset), _CONSTRAINTS)
    length, series, advice = len(dataset.y), "", ""
    if dataset.y.index.nlevels > 1:
        lengths = dataset.y.index.droplevel(-1).value_counts()
        length, series = lengths.min(), f" in the series {join_ids(lengths.idxmin())!r}"
        advice = ", or leave short series out, as --min-length does"
    left = length - n_folds * dataset.horizon
    # MASE compares with the error of repeating the last season of the training data.
    needed = dataset.seasonal_period + 1
    if left < needed:
        raise InputError(
            f"The data set {dataset.name!r} is too short{series}: of {length} time "
            f"points, {n_folds} fold(s) of {dataset.horizon} leave {max(left, 0)} to "
            f"train on, expected at least {needed}, one more than the seasonal period "
            f"of {dataset.seasonal_period}. Use a shorter horizon, fewer folds or a "
            f"smaller seasonal period{advice}."
        )


def as_frame(y: pd.Series | pd.DataFrame) -> pd.DataFrame:
    """Return a series as a frame of one column, which is "y" if it has no name."""
    return y.to_frame(y.name or "y") if isinstance(y, pd.Series) else y


def find_scalable(
    dataset: Dataset, n_folds: int, changes: pd.DataFrame
) -> pd.DataFrame:
    """Mark the series that have a MASE, (instance, variate); warn of the others.

    MASE divides by the mean change of a series over one season of its training rows,
    the mean of its `seasonal_changes`.
    The first fold decides: all other folds begin with its rows, so a series that
    changes in the first fold changes in all of them.
    """
    y = as_frame(dataset.y)
    tested = n_folds * dataset.horizon
    y_train = y.groupby(instances_of(y)).head(-tested)
    # Also false where too many values are missing for a change to be known.
    rounding = _ROUNDING * y_train.abs().groupby(instances_of(y_train)).max()
    change = mean_change(changes, y_train)
    scalable = change > rounding.clip(lower=SMALLEST_CHANGE)
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
        warn(message, UndefinedScoreWarning)
    _check_observed(dataset.name, y.groupby(instances_of(y)).tail(tested), scalable)
    return scalable


def _check_observed(name: str, tested: pd.DataFrame, scalable: pd.DataFrame) -> None:
    """Warn of values to forecast that are missing; raise if no MASE is left."""
    n_missing = int(tested.isna().to_numpy().sum())
    if not n_missing:
        return
    observed = tested.notna().groupby(instances_of(tested)).any()
    if not (observed & scalable).any(axis=None):
        raise InputError(
            f"The data set {name!r} has no MASE: all values to forecast are missing. "
            f"Expected at least one in a series that changes over one season. Fill "
            f"them in, cut them off, or leave the data set out."
        )
    message = (
        f"{name}: {n_missing} of the {tested.size} values to forecast are missing; "
        f"they count in no score."
    )
    warn(message, UndefinedScoreWarning)


def seasonal_changes(dataset: Dataset) -> pd.DataFrame:
    """Return how much values differ from those one season before, in every row.

    A season is one of time, also where rows are missing.
    """
    from sktime_llm.forecasting._series import with_all_rows  # imports torch

    y = with_all_rows(as_frame(dataset.y))
    return y.groupby(instances_of(y)).diff(dataset.seasonal_period).abs()


def mean_change(changes: pd.DataFrame, y: pd.DataFrame) -> pd.DataFrame:
    """Return the mean change of each series in the rows of y, (instance, variate)."""
    return changes.reindex(y.index).groupby(instances_of(y)).mean()


def instances_of(y: pd.Series | pd.DataFrame) -> list[pd.Index | np.ndarray]:
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
