"""What is wrong with data as it was given, before sktime looks at it."""

import numbers
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd

from sktime_llm._warn import warn
from sktime_llm.errors import (
    ColumnTypeError,
    DataFormatError,
    InputError,
    UnusedCovariatesWarning,
)

_TIME_NAMES = ("ds", "date", "time", "timestamp")


@contextmanager
def explaining(y: Any, X: Any = None) -> Iterator[None]:
    """Say in a sentence what is wrong with data that sktime refuses."""
    try:
        yield
    except TypeError as error:
        for name, data in (("y", y), ("X", X)):
            found = _what_is_wrong(name, data)
            if found is not None:
                raise DataFormatError(found) from error
        _compare_levels(X, y, error)
        _name_text_columns(y, error)
        raise


def _what_is_wrong(name: str, data: Any) -> str | None:
    """Describe the first thing that sktime does not take, and say what to do."""
    if isinstance(data, list) and any(isinstance(one, pd.DataFrame) for one in data):
        each = (_what_is_wrong(f"{name}[{i}]", one) for i, one in enumerate(data))
        return next(filter(None, each), None)
    if isinstance(data, list | tuple | dict):
        return (
            f"{name} is of type {type(data).__name__}, expected a pandas Series or "
            f"DataFrame, such as pd.Series({name})."
        )
    frame = _as_frame(data)
    if frame is None:
        return None
    if isinstance(data, pd.Series) and isinstance(data.index, pd.MultiIndex):
        return (
            f"{name} is a Series with the index levels {list(data.index.names)}, "
            f'expected a DataFrame for several series: {name}.to_frame("value").'
        )
    if frame.columns.has_duplicates:
        twice = frame.columns[frame.columns.duplicated()][0]
        return (
            f"{name} has the column {twice!r} more than once, expected distinct names. "
            "Rename one of them, or leave it out, by "
            f"{name}.loc[:, ~{name}.columns.duplicated()]."
        )
    return _what_is_wrong_with_times(name, frame.index)


def _what_is_wrong_with_times(name: str, index: pd.Index) -> str | None:
    if not len(index):
        return f"{name} has no rows, expected those of at least one series."
    is_panel = isinstance(index, pd.MultiIndex)
    levels = list(index.levels) if is_panel else [index]
    if not _are_times(levels[-1]):
        where = "the last level of the index" if is_panel else "the index"
        advice = "Convert it by pd.to_datetime, or number the rows of each series."
        if any(map(_are_times, levels[:-1])):
            advice = f"Put the times last, by {name}.reorder_levels, and sort the rows."
        return (
            f"{where} of {name} has values such as {levels[-1][0]!r}, expected "
            f"datetimes, periods or integers. {advice}"
        )
    times = index.get_level_values(-1)
    if times.hasnans:
        row = int(times.isna().argmax())
        return f"{name} has no time (NaT) in row {row}, expected one in each row."
    if is_panel and index.has_duplicates:
        twice = index[index.duplicated()][0]
        return (
            f"{name} has the row {twice} more than once, expected every time of a "
            "series once. Aggregate the rows of one time first."
        )
    series = index.droplevel(-1) if is_panel else np.zeros(len(index))
    places = pd.Series(times.factorize(sort=True)[0])
    is_early = places.groupby(pd.factorize(series)[0]).diff() < 0
    if is_early.any():
        row = int(is_early.argmax())
        return (
            f"{name} has {index[row]} in row {row}, after later times of the same "
            f"series; expected times in order. Sort them: {name}.sort_index()."
        )
    return None


def _are_times(values: pd.Index) -> bool:
    is_date = isinstance(values, pd.DatetimeIndex | pd.PeriodIndex)
    return is_date or pd.api.types.is_integer_dtype(values)


def _compare_levels(X: Any, y: Any, error: TypeError) -> None:
    of_X, of_y = (getattr(_as_frame(data), "index", None) for data in (X, y))
    if of_X is None or of_y is None or of_X.nlevels == of_y.nlevels:
        return
    advice = ""
    if of_X.nlevels == 1:
        advice = (
            " Give the same rows to every series: pd.concat({key: X for key in "
            "y.index.unique(0)})."
        )
    raise DataFormatError(
        f"X has {of_X.nlevels} index level(s) and y has {of_y.nlevels}, expected the "
        f"same: a row of X for each row of y.{advice}"
    ) from error


def _name_text_columns(y: Any, error: TypeError) -> None:
    frame = _as_frame(y)
    text = {} if frame is None else _text_columns(frame)
    if frame is not None and text:
        raise ColumnTypeError(
            f"{error} These columns of y, with their types, are not numbers: {text}. "
            f"{_what_to_do(frame, list(text))}"
        ) from error


def _text_columns(frame: pd.DataFrame) -> dict[Any, str]:
    """Return the types of the columns that are not numbers."""
    types = frame.dtypes.to_dict().items()
    return {
        name: str(its) for name, its in types if not pd.api.types.is_numeric_dtype(its)
    }


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
    other = {} if frame is None else _text_columns(frame)
    if frame is None or not other:
        return
    numeric = [name for name in other if _holds_numbers(frame[name])]
    if numeric:
        raise ColumnTypeError(
            f"these columns of X have numbers of another type: {other}. Expected "
            "floats, integers or booleans. Convert them: "
            f"X.astype({dict.fromkeys(numeric, 'float')})."
        )
    raise ColumnTypeError(
        f"these columns of X, with their types, are not numbers: {other}. Expected "
        "numbers. Encode categories one-hot, by pd.get_dummies(X, columns="
        f"{list(other)}); take calendar features from times by sktime's "
        "DateTimeFeatures; or leave the columns out."
    )


def _holds_numbers(column: pd.Series) -> bool:
    """Tell whether a column of Python objects has numbers, such as Decimal, only."""
    observed = column.dropna()
    return column.dtype == object and all(
        isinstance(value, numbers.Number) for value in observed
    )


def check_unused_covariates(
    X: Any, seen: list[Any] | None, owner: str, *, is_fitted: bool
) -> None:
    """Warn in fit that X is not used; raise if X of predict has columns of its own."""
    columns = columns_of(X)
    if not is_fitted and X is not None:
        warn(
            f"{owner} does not use X; its columns {columns} change nothing: it "
            "forecasts each variate from its own past. Leave X out, or choose "
            "CALFForecaster or LLMTSNetForecaster, which use covariates.",
            UnusedCovariatesWarning,
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


def check_shares(name: str, values: Any) -> None:
    """Raise if levels of intervals or quantiles, where given, are not in (0, 1)."""
    for value in [] if values is None else np.ravel(values).tolist():
        if not (isinstance(value, float) and 0 < value < 1):
            raise InputError(
                f"{name}={values!r}, expected shares between 0 and 1, such as "
                f"{name}=0.8 for 80 %, or a list of them."
            )
