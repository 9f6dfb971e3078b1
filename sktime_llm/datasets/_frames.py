"""Forecasts of long and wide frames, in the shape in which they are given."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from sktime_llm._validation import LEVELS, integer
from sktime_llm.datasets._covariates import (
    check_takes_covariates,
    past_covariates_of,
    rows_ahead,
    split_covariates,
)
from sktime_llm.errors import InputError

if TYPE_CHECKING:
    from sktime.forecasting.base import BaseForecaster

# Methods by which others, such as polars and a Series, become frames of pandas.
_WAYS_TO_FRAMES = ("to_pandas", "reset_index")


def forecast_frame(
    forecaster: "BaseForecaster",
    frame: pd.DataFrame,
    horizon: int,
    *,
    id_column: str | None = "unique_id",
    time_column: str = "ds",
    target: Any = "y",
    covariates: Any = None,
    levels: Sequence[float] = (),
) -> pd.DataFrame:
    """Fit a forecaster on a long or wide frame, and forecast it in the same shape.

    Parameters
    ----------
    forecaster : sktime forecaster
        Any one; it is fitted in place, so that it can be updated and saved afterwards.
    frame : pandas.DataFrame
        Long, with a row for each series and time, or wide, with a row for each time.
        Rows may come in any order; other columns are left out.
    horizon : int
        Time steps to forecast after the end of each series.
    id_column : str or None, default="unique_id"
        Column that names the series; None for a wide frame.
    time_column : str, default="ds"
        Column of datetimes at equal steps, or of integers.
    target : label or sequence of labels, default="y"
        Columns to forecast.
    covariates : label or sequence of label, optional
        Columns of numbers that are known in the future, such as prices. The rows after
        the last value of `target` in a series, of which there are at least `horizon`,
        are of steps to forecast. Those in `past_covariates` of the forecaster need no
        value there. Default: none.
    levels : sequence of float, optional
        Coverages of prediction intervals in percent, such as ``[80, 95]``.

    Returns
    -------
    pandas.DataFrame
        The columns of `id_column`, `time_column` and `target`, sorted by series and
        time; for each level also ``"y-lo-80"`` and ``"y-hi-80"``.

    Raises
    ------
    InputError
        If it is no frame of pandas, a column is not there or named twice, there are no
        rows, times are text, an id is missing, a covariate is not known at a step to
        forecast, or the forecaster takes none, or a parameter is invalid.

    Examples
    --------
    >>> import pandas as pd
    >>> from sktime.forecasting.naive import NaiveForecaster
    >>> from sktime_llm.datasets import forecast_frame
    >>> days = pd.date_range("2024-01-01", periods=3)
    >>> frame = pd.DataFrame({"unique_id": "shop", "ds": days, "y": [1.0, 2.0, 4.0]})
    >>> forecast_frame(NaiveForecaster(), frame, horizon=2)
      unique_id         ds    y
    0      shop 2024-01-04  4.0
    1      shop 2024-01-05  4.0
    """
    integer(1).check("horizon", horizon)
    LEVELS.check("levels", levels)
    targets = _as_list(target)
    beside = _as_list(covariates)
    keys = [time_column] if id_column is None else [id_column, time_column]
    y = _indexed(frame, keys, targets, beside)
    X = ahead = None
    if beside:
        check_takes_covariates(forecaster)
        y, X = split_covariates(y, targets, beside)
        ahead = rows_ahead(y, X, horizon, past_covariates_of(forecaster))
        X = X.loc[y.index]
    forecaster.fit(y, X=X, fh=range(1, horizon + 1))
    forecasts: pd.DataFrame = forecaster.predict(X=ahead)
    if levels:
        coverage = [level / 100 for level in levels]
        bounds = forecaster.predict_interval(X=ahead, coverage=coverage)
        for name in targets:
            for level in levels:
                for side, short in (("lower", "lo"), ("upper", "hi")):
                    column = f"{name}-{short}-{level:g}"
                    forecasts[column] = bounds[name, level / 100, side]
    return forecasts.rename_axis(keys).reset_index()


def _as_list(names: Any) -> list[Any]:
    if names is None:
        return []
    return list(names) if pd.api.types.is_list_like(names) else [names]


def _indexed(
    frame: pd.DataFrame, keys: list[str], targets: list[Any], beside: list[Any]
) -> Any:
    """Return the columns with the keys as index, sorted."""
    if not isinstance(frame, pd.DataFrame):
        kind = type(frame)
        ways = [f"frame.{way}()" for way in _WAYS_TO_FRAMES if hasattr(frame, way)]
        raise InputError(
            f"frame is a {kind.__name__} of {kind.__module__.partition('.')[0]}, "
            "expected a pandas.DataFrame with a column of times and one of values. "
            f"Make it first, for example by {[*ways, 'pandas.DataFrame(frame)'][0]}."
        )
    columns = [*targets, *beside]
    missing = [name for name in [*keys, *columns] if name not in frame]
    if missing:
        raise InputError(
            f"frame has no column {', '.join(map(repr, missing))}; it has "
            f"{', '.join(map(repr, frame.columns))}. Name the columns by id_column "
            "(None in a wide frame), time_column, target and covariates."
        )
    if not targets or len({*keys, *columns}) < len(keys) + len(columns):
        also = f", the covariates {beside}" * bool(beside)
        raise InputError(
            f"got the columns {keys} of ids and times{also} and the targets {targets}; "
            "expected at least one target, and no column twice."
        )
    if frame.empty:
        raise InputError("frame has no rows; expected at least one to forecast from.")
    unknown = frame[keys].isna().any(axis=1)
    if unknown.any():
        raise InputError(
            f"row {int(unknown.argmax())} of frame has no {' or no '.join(keys)}; "
            "expected both in every row. Fill or drop such rows first."
        )
    y = frame.set_index(keys)[columns]
    times = y.index if len(keys) == 1 else y.index.levels[-1]
    is_time = isinstance(times, pd.DatetimeIndex | pd.PeriodIndex)
    if not (is_time or pd.api.types.is_integer_dtype(times)):
        cells, column = frame[keys[-1]], f"frame[{keys[-1]!r}]"
        convert = f"pandas.to_datetime({column})"
        if cells.dtype.kind == "M":  # of pyarrow, which to_datetime leaves as they are
            convert = f"{column}.astype('datetime64[ns]')"
        raise InputError(
            f"column {keys[-1]!r} of frame has the type {cells.dtype}, such as "
            f"{cells.iloc[0]!r}; expected datetimes, periods or integers. Convert "
            f"them first, for example by {column} = {convert}."
        )
    return y.sort_index()
