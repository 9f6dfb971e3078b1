"""Forecasts as long tables, with a row for each value."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import pandas as pd

from sktime_llm.datasets._frequency import format_times

if TYPE_CHECKING:
    from sktime.forecasting.base import BaseForecaster


def long_table(values: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Stack frames of the same rows and columns: id, time, variate, a column for each.

    The id is empty unless the frames are panels.
    """
    first = next(iter(values.values()))
    keys = {"id": "", "time": first.index.get_level_values(-1).astype("object")}
    if first.index.nlevels > 1:
        keys["id"] = [" / ".join(map(str, key[:-1])) for key in first.index]
    parts = []
    for place, name in enumerate(first.columns):
        own = {
            key: frame.iloc[:, place].to_numpy(float) for key, frame in values.items()
        }
        parts.append(pd.DataFrame({**keys, "variate": str(name), **own}))
    return pd.concat(parts, ignore_index=True)


def forecast_table(
    forecaster: "BaseForecaster",
    fh: Iterable[int],
    levels: Sequence[float] = (),
    name: object = None,
    X: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Return forecasts and the bounds of intervals of `levels`, in percent.

    `name` is that of the variate of a series without any, X the covariates at the
    steps to forecast.
    """
    y = forecaster.predict(fh, X=X)
    frames = {"forecast": y.to_frame(name or "y") if y.ndim == 1 else y}
    if levels:
        coverage = [level / 100 for level in levels]
        bounds = forecaster.predict_interval(fh, X=X, coverage=coverage)
    for level in levels:
        for side in ("lower", "upper"):
            frame = bounds.xs((level / 100, side), axis=1, level=[1, 2])
            frames[f"{side}_{level:g}"] = frame
    return long_table(frames)


def as_written(table: pd.DataFrame) -> pd.DataFrame:
    """Return a long table as it is written to files: its times are text."""
    named = table.assign(time=format_times(table["time"]))
    return named.rename(columns={"id": "series"})
