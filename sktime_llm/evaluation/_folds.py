"""One forecaster on the folds of one data set."""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

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
) -> tuple[dict[str, float], pd.DataFrame]:
    """Return mean scores and times, and the forecasts of the last fold."""
    with library_warnings_off(f"{name} on {dataset.name}: "):
        folds = _run_folds(dataset, forecaster, n_folds)
    folds["MASE"] = [
        _mean_absolute_scaled_error(fold, dataset.seasonal_period, scalable)
        for _, fold in folds.iterrows()
    ]
    means = {name: float(folds[column].mean()) for column, name in _SCORES.items()}
    truth = folds["y_test"].iloc[-1]
    forecast = folds["y_pred"].iloc[-1].reindex(truth.index)
    return means, long_table({"truth": truth, "forecast": forecast})


def _run_folds(
    dataset: Dataset, forecaster: "BaseForecaster", n_folds: int
) -> pd.DataFrame:
    from sktime.forecasting.model_evaluation import evaluate
    from sktime.performance_metrics.forecasting import (
        MeanAbsoluteError,
        MeanAbsolutePercentageError,
    )
    from sktime.split import ExpandingGreedySplitter

    y = dataset.y.to_frame(dataset.y.name or "y") if dataset.y.ndim == 1 else dataset.y
    folds = evaluate(
        forecaster,
        # Cuts the folds off the end of every series, whatever its length.
        cv=ExpandingGreedySplitter(test_size=int(dataset.horizon), folds=n_folds),
        y=y,
        strategy="refit",
        scoring=[MeanAbsolutePercentageError(symmetric=True), MeanAbsoluteError()],
        return_data=True,
        error_score="raise",
    )
    for forecasts in folds["y_pred"]:
        if not np.isfinite(forecasts.to_numpy(dtype=float)).all():
            raise ValueError("the forecasts hold missing or infinite values")
    return folds


def _mean_absolute_scaled_error(
    fold: pd.Series, seasonal_period: int, scalable: pd.DataFrame
) -> float:
    """Average the MASE of one fold over the scalable series."""
    from sktime.performance_metrics.forecasting import MeanAbsoluteScaledError

    metric = MeanAbsoluteScaledError(
        multioutput="raw_values",
        multilevel="raw_values",
        sp=seasonal_period,
        # Below the scale of every series that is kept.
        eps=SMALLEST_CHANGE,
    )
    scores = metric(fold["y_test"], fold["y_pred"], y_train=fold["y_train"])
    # One row per instance; sktime gives a single series as a column.
    table = scores if fold["y_test"].index.nlevels > 1 else scores.T
    kept = scalable.reindex(table.index).to_numpy()
    return float(pd.Series(table.to_numpy()[kept]).mean())


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
