"""The recent rows that a fitted forecaster keeps, and how new ones extend them."""

import numpy as np
import pandas as pd
from sktime.datatypes import update_data

from sktime_llm.errors import InputError
from sktime_llm.forecasting._series import Key, split_series
from sktime_llm.training.windows import last_before


def extend_rows(
    recent: pd.DataFrame,
    y: pd.DataFrame,
    frequency: pd.offsets.BaseOffset | None,
    *,
    allow_missing: bool,
) -> dict[Key, pd.DataFrame]:
    """Join the rows kept of each series and new ones, up to the last new one.

    Rows that are in both are taken from `y`. A series that is not in `y` stays as it
    is. Steps between the old rows and the new ones are NaN, if that is allowed.

    Raises
    ------
    InputError
        If steps between are missing and that is not allowed.
    """
    old = dict(split_series(recent))
    parts = dict(old)
    for key, rows in split_series(y):
        # sktime forecasts from the last row that update was given
        kept = old.get(key, rows[:0])
        kept = kept[kept.index <= rows.index[-1]]
        if kept.empty:
            parts[key] = rows
            continue
        steps = _steps(kept.index[-1], rows.index[0], kept.index, frequency)
        joined = update_data(kept, rows)
        if len(steps) > 2:
            if not allow_missing:
                raise _gap(steps, key)
            joined = joined.reindex(joined.index.append(steps[1:-1]).sort_values())
        parts[key] = joined
    return parts


def join_series(parts: dict[Key, pd.DataFrame], like: pd.DataFrame) -> pd.DataFrame:
    """Join series to one frame with index levels `like`."""
    if not isinstance(like.index, pd.MultiIndex):
        return parts[None]
    joined = pd.concat(parts).sort_index()
    joined.index = joined.index.set_names(like.index.names)
    return joined


def earlier_values(
    values: np.ndarray, n_kept: int, first: np.ndarray | None = None
) -> np.ndarray:
    """Last value before the last `n_kept` rows of (time, channel), NaN if not known."""
    return last_before(values, first)[max(0, len(values) - n_kept)]


def _steps(
    last: object,
    first: object,
    index: pd.Index,
    frequency: pd.offsets.BaseOffset | None,
) -> pd.Index:
    """All time steps from `last` to `first`, both included; none if that is before."""
    if isinstance(index, pd.PeriodIndex):
        return pd.period_range(last, first, freq=index.freq)
    if isinstance(index, pd.DatetimeIndex):
        if frequency is None:
            return index[:0]
        return pd.date_range(last, first, freq=frequency)
    return pd.RangeIndex(last, first + 1)  # type: ignore[operator]


def _gap(steps: pd.Index, key: Key) -> InputError:
    name = "" if key is None else f" (series {key!r})"
    return InputError(
        f"y{name} begins at {steps[-1]} in update, but the last row known is of "
        f"{steps[0]}; expected {steps[1]}. Give the {len(steps) - 2} row(s) between, "
        "too, or fit again."
    )
