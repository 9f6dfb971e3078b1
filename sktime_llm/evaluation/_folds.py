"""One forecaster on the folds of one data set."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from sktime_llm.datasets import Dataset
from sktime_llm.evaluation._data import SMALLEST_CHANGE

if TYPE_CHECKING:
    from sktime.forecasting.base import BaseForecaster

FORECAST_COLUMNS = ["id", "time", "variate", "truth", "forecast"]
_SCORES = {
    "MASE": "MASE",
    "test_MeanAbsolutePercentageError": "sMAPE",
    "test_MeanAbsoluteError": "MAE",
    "fit_time": "fit_seconds",
    "pred_time": "predict_seconds",
}
_FOR_DEVELOPERS = (
    FutureWarning,
    DeprecationWarning,
    PendingDeprecationWarning,
    ResourceWarning,
)


def evaluate_folds(
    dataset: Dataset,
    name: str,
    forecaster: "BaseForecaster",
    n_folds: int,
    scalable: pd.DataFrame,
    levels: Sequence[float] = (),
) -> tuple[dict[str, float], pd.DataFrame]:
    """Return mean scores and times, and the forecasts of the last fold.

    Intervals of `levels`, in percent, are scored if the forecaster has any.
    """
    if not forecaster.get_tag("capability:pred_int"):
        levels = ()
    with library_warnings_off(f"{name} on {dataset.name}: "):
        folds = _run_folds(dataset, forecaster, n_folds, levels)
    rows = [fold for _, fold in folds.iterrows()]
    season = dataset.seasonal_period
    folds["MASE"] = [_scaled(one, one["y_pred"], season, scalable) for one in rows]
    means = {name: float(folds[column].mean()) for column, name in _SCORES.items()}
    last = rows[-1]
    tables = {"truth": last["y_test"], "forecast": _like(last["y_pred"], last)}
    for level in levels:
        each = [_interval(one, level, season, scalable) for one in rows]
        means[f"coverage_{level:g}"] = float(np.mean([one[2] for one in each]))
        means[f"MSIS_{level:g}"] = float(np.mean([one[3] for one in each]))
        tables[f"lower_{level:g}"], tables[f"upper_{level:g}"] = each[-1][:2]
    return means, long_table(tables)


def fold_errors(
    dataset: Dataset, forecaster: "BaseForecaster", n_folds: int, scalable: pd.DataFrame
) -> tuple[pd.DataFrame, dict[str, float], "BaseForecaster"]:
    """Return MASE by fold and series, mean seconds, and the last fitted forecaster."""
    folds = _run_folds(dataset, forecaster, n_folds, (), keep_fitted=True)
    parts = [
        _mase_of_each(fold, fold["y_pred"], dataset.seasonal_period, scalable)
        for _, fold in folds.iterrows()
    ]
    table = pd.concat(parts, keys=range(n_folds), names=["fold", "series"])
    times = {"fit_seconds": "fit_time", "predict_seconds": "pred_time"}
    seconds = {name: float(folds[column].mean()) for name, column in times.items()}
    errors = table.rename("MASE").reset_index()
    return errors, seconds, folds["fitted_forecaster"].iloc[-1]


def _like(values: pd.DataFrame, fold: pd.Series) -> pd.DataFrame:
    return values.reindex(fold["y_test"].index)


def _interval(
    fold: pd.Series, level: float, seasonal_period: int, scalable: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame, float, float]:
    """Return the bounds of intervals, the share that they cover, and their MSIS.

    That is the mean scaled interval score of the M4 competition: width and misses,
    which weigh 2 / (1 - level), over the same scale as in MASE.
    """
    truth = fold["y_test"]
    lower, upper = (
        _like(fold["y_pred_interval"], fold)
        .xs((level / 100, side), axis=1, level=[1, 2])
        .set_axis(truth.columns, axis=1)
        for side in ("lower", "upper")
    )
    missed = (lower - truth).clip(lower=0) + (truth - upper).clip(lower=0)
    score = upper - lower + 2 / (1 - level / 100) * missed
    covered = float(((lower <= truth) & (truth <= upper)).to_numpy().mean())
    return (
        lower,
        upper,
        covered,
        _scaled(fold, truth + score, seasonal_period, scalable),
    )


def _run_folds(
    dataset: Dataset,
    forecaster: "BaseForecaster",
    n_folds: int,
    levels: Sequence[float],
    *,
    keep_fitted: bool = False,
) -> pd.DataFrame:
    from sktime.forecasting.model_evaluation import evaluate
    from sktime.performance_metrics.forecasting import (
        MeanAbsoluteError,
        MeanAbsolutePercentageError,
    )
    from sktime.performance_metrics.forecasting.probabilistic import EmpiricalCoverage
    from sktime.split import ExpandingGreedySplitter

    y = dataset.y.to_frame(dataset.y.name or "y") if dataset.y.ndim == 1 else dataset.y
    metrics: list[Any] = [
        MeanAbsolutePercentageError(symmetric=True),
        MeanAbsoluteError(),
    ]
    if levels:  # lets sktime forecast the intervals
        metrics.append(EmpiricalCoverage(coverage=[level / 100 for level in levels]))
    folds = evaluate(
        forecaster,
        # Cuts the folds off the end of every series, whatever its length.
        cv=ExpandingGreedySplitter(test_size=int(dataset.horizon), folds=n_folds),
        y=y,
        strategy="refit",
        scoring=metrics,
        return_data=True,
        return_model=keep_fitted,
        error_score="raise",
    )
    for forecasts in folds["y_pred"]:
        if not np.isfinite(forecasts.to_numpy(dtype=float)).all():
            raise ValueError("the forecasts hold missing or infinite values")
    return folds


def _scaled(
    fold: pd.Series, y_pred: pd.DataFrame, seasonal_period: int, scalable: pd.DataFrame
) -> float:
    """Average the MASE of forecasts of one fold over the scalable series."""
    return float(_mase_of_each(fold, y_pred, seasonal_period, scalable).mean())


def _mase_of_each(
    fold: pd.Series, y_pred: pd.DataFrame, seasonal_period: int, scalable: pd.DataFrame
) -> pd.Series:
    """Return the MASE of every scalable series, instance by instance."""
    from sktime.performance_metrics.forecasting import MeanAbsoluteScaledError

    metric = MeanAbsoluteScaledError(
        multioutput="raw_values",
        multilevel="raw_values",
        sp=seasonal_period,
        # Below the scale of every series that is kept.
        eps=SMALLEST_CHANGE,
    )
    scores = metric(fold["y_test"], y_pred, y_train=fold["y_train"])
    # One row per instance; sktime gives a single series as a column.
    table = scores if fold["y_test"].index.nlevels > 1 else scores.T
    kept = scalable.reindex(table.index).to_numpy()
    return pd.Series(table.to_numpy()[kept])


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


@contextmanager
def library_warnings_off(prefix: str = "") -> Iterator[None]:
    """Drop the warnings that libraries address to developers; repeat the others once.

    Warnings are recorded rather than filtered, because sktime and statsmodels set
    filters of their own while they run.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    messages = {
        (str(one.message), one.category)
        for one in caught
        if not issubclass(one.category, _FOR_DEVELOPERS)
    }
    for message, category in sorted(messages, key=str):
        warnings.warn(prefix + message, category, stacklevel=5)
