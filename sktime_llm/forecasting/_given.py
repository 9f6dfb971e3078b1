"""What is wrong with data as a user gives it, before sktime looks at it."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd

from sktime_llm.errors import ColumnTypeError, InputError, UnusedCovariatesWarning
from sktime_llm.forecasting._series import of_series

_TIME_NAMES = ("ds", "date", "time", "timestamp")


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
            f"{error} These columns of y, with their types, are not numbers: {text}. "
            f"{_what_to_do(frame, list(text))}"
        ) from error


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
    if not isinstance(index, pd.MultiIndex):
        return y
    levels = range(index.nlevels)
    kinds = [isinstance(index.levels[i].dtype, pd.CategoricalDtype) for i in levels]
    if not any(kinds):
        return y
    values = [index.get_level_values(i) for i in levels]
    plain = [
        each.astype(each.categories.dtype) if is_categorical else each
        for each, is_categorical in zip(values, kinds, strict=True)
    ]
    return y.set_axis(pd.MultiIndex.from_arrays(plain, names=index.names))


def check_covariates(
    X: Any, seen: list[Any] | None, owner: str, *, is_fitted: bool, is_used: bool
) -> None:
    """Warn in fit that X is not used; raise if X of predict has columns of its own."""
    columns = columns_of(X)
    if not is_fitted and X is not None and not is_used:
        warnings.warn(
            f"{owner} does not use X; its columns {columns} change nothing. None of "
            "the forecasters of sktime-llm uses covariates. Leave X out, or choose a "
            "forecaster of sktime whose tag capability:exogenous is True.",
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
    """Name the columns; None where they have no names."""
    if X is None:
        return []
    if isinstance(X, pd.Series):
        return None if X.name is None else [X.name]
    return list(X.columns) if isinstance(X, pd.DataFrame) else None
