"""Scores of forecasts, series by series, at the values that were observed."""

from collections.abc import Sequence

import pandas as pd

from sktime_llm.evaluation._data import (
    SMALLEST_CHANGE,
    instances_of,
    join_ids,
    mean_change,
)


def score_series(
    fold: pd.Series,
    changes: pd.DataFrame,
    scalable: pd.DataFrame,
    levels: Sequence[float] = (),
) -> pd.DataFrame:
    """Return one row of scores per series of a fold: id, variate, MASE, sMAPE, MAE.

    The scale of MASE is the mean of the `seasonal_changes` of the training rows.
    For each level of intervals also the share of values that they cover, and their mean
    scaled interval score, that of the M4 competition: width and misses, which weigh
    2 / (1 - level), over the same scale as in MASE. Values that were not observed count
    in no score, nor do those without bounds in scores of these; a series that was not
    observed has none. sktime's own metrics refuse such values.
    """
    truth, train = fold["y_test"].astype(float), fold["y_train"].astype(float)
    instances = instances_of(truth)

    def mean_of_each(values: pd.DataFrame) -> pd.DataFrame:
        return values.where(truth.notna()).groupby(instances).mean()

    forecast = like_truth(fold["y_pred"], fold)
    error = (truth - forecast).abs()
    size = (truth.abs() + forecast.abs()) / 2
    scale = mean_change(changes, train).where(scalable)
    scores = {
        "MASE": mean_of_each(error) / scale,
        "sMAPE": mean_of_each(error / size.clip(lower=SMALLEST_CHANGE)),
        "MAE": mean_of_each(error),
    }
    for level in levels:
        lower, upper = bounds_of(fold, level)
        missed = (lower - truth).clip(lower=0) + (truth - upper).clip(lower=0)
        inside = ((lower <= truth) & (truth <= upper)).astype(float)
        inside = inside.where(lower.notna() & upper.notna())
        width = upper - lower + 2 / (1 - level / 100) * missed
        scores[f"coverage_{level:g}"] = mean_of_each(inside)
        scores[f"MSIS_{level:g}"] = mean_of_each(width) / scale
    keys = [(join_ids(key), str(name)) for key in scale.index for name in scale]
    table = pd.DataFrame(keys, columns=["id", "variate"])
    if truth.index.nlevels == 1:
        table["id"] = ""
    return table.assign(**{name: s.to_numpy().ravel() for name, s in scores.items()})


def like_truth(values: pd.DataFrame, fold: pd.Series) -> pd.DataFrame:
    """Return forecasts with the rows and columns of what they are compared with."""
    truth = fold["y_test"]
    return values.reindex(truth.index).set_axis(truth.columns, axis=1)


def bounds_of(fold: pd.Series, level: float) -> list[pd.DataFrame]:
    """Return the lower and the upper bounds of the intervals of a level in percent."""
    intervals = fold["y_pred_interval"]
    sides = ((level / 100, side) for side in ("lower", "upper"))
    return [
        like_truth(intervals.xs(side, axis=1, level=[1, 2]), fold) for side in sides
    ]
