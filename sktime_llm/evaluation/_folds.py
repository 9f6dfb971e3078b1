"""One forecaster on the folds of one data set."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sktime.performance_metrics.base import BaseMetric

from sktime_llm._warn import warn
from sktime_llm.datasets import Dataset
from sktime_llm.datasets._long import long_table
from sktime_llm.evaluation._data import as_frame
from sktime_llm.evaluation._scores import bounds_of, like_truth, score_series

if TYPE_CHECKING:
    from sktime.forecasting.base import BaseForecaster

FORECAST_COLUMNS = ["id", "time", "variate", "truth", "forecast"]
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
    changes: pd.DataFrame,
    levels: Sequence[float] = (),
) -> tuple[dict[str, float], pd.DataFrame, pd.DataFrame]:
    """Return mean seconds, scores by series, and the forecasts of the last fold.

    `scalable` and `changes` are those of the data set, for MASE. Scores are means over
    folds. Intervals of `levels`, in percent, are scored if the
    forecaster has any.
    """
    if not forecaster.get_tag("capability:pred_int"):
        levels = ()
    with library_warnings_off(f"{name} on {dataset.name}: "):
        folds = _run_folds(dataset, forecaster, n_folds, levels)
    rows = [fold for _, fold in folds.iterrows()]
    parts = [score_series(one, changes, scalable, levels) for one in rows]
    keys = parts[0][["id", "variate"]]
    means = pd.concat([part.drop(columns=list(keys)) for part in parts])
    by_series = keys.join(means.groupby(level=0).mean())
    last = rows[-1]
    tables = {"truth": last["y_test"], "forecast": like_truth(last["y_pred"], last)}
    for level in levels:
        lower, upper = bounds_of(last, level)
        tables |= {f"lower_{level:g}": lower, f"upper_{level:g}": upper}
    return _mean_seconds(folds), by_series, long_table(tables)


def fold_errors(
    dataset: Dataset,
    forecaster: "BaseForecaster",
    n_folds: int,
    scalable: pd.DataFrame,
    changes: pd.DataFrame,
) -> tuple[pd.DataFrame, dict[str, float], "BaseForecaster"]:
    """Return MASE by fold and series, mean seconds, and the last fitted forecaster."""
    folds = _run_folds(dataset, forecaster, n_folds, (), keep_fitted=True)
    kept = scalable.to_numpy().ravel()
    parts = [
        score_series(fold, changes, scalable)["MASE"][kept]
        for _, fold in folds.iterrows()
    ]
    table = pd.concat(
        [part.reset_index(drop=True) for part in parts],
        keys=range(n_folds),
        names=["fold", "series"],
    )
    fitted = folds["fitted_forecaster"].iloc[-1]
    return table.reset_index(), _mean_seconds(folds), fitted


def _mean_seconds(folds: pd.DataFrame) -> dict[str, float]:
    times = {"fit_seconds": "fit_time", "predict_seconds": "pred_time"}
    return {name: float(folds[column].mean()) for name, column in times.items()}


class _Asked(BaseMetric):
    """Ask sktime for forecasts of a kind, and leave their scores to `score_series`."""

    def __init__(
        self, kind: str = "pred", coverage: Sequence[float] | None = None
    ) -> None:
        self.kind = kind
        self.coverage = coverage
        super().__init__()
        self.set_tags(**{"scitype:y_pred": kind})
        self.name = kind

    def __call__(self, *args: Any, **kwargs: Any) -> float:
        return 0.0


def _run_folds(
    dataset: Dataset,
    forecaster: "BaseForecaster",
    n_folds: int,
    levels: Sequence[float],
    *,
    keep_fitted: bool = False,
) -> pd.DataFrame:
    from sktime.forecasting.model_evaluation import evaluate
    from sktime.split import ExpandingGreedySplitter, SameLocSplitter

    y = as_frame(dataset.y)
    # cuts the folds off the end of every series, whatever its length
    splitter = ExpandingGreedySplitter(test_size=int(dataset.horizon), folds=n_folds)
    asked: list[Any] = [_Asked("pred")]
    if levels:
        asked.append(_Asked("pred_interval", [level / 100 for level in levels]))
    folds = evaluate(
        forecaster,
        cv=splitter,
        # by default X to predict also has the training rows, which AutoARIMA misreads
        cv_X=SameLocSplitter(splitter, y),
        y=y,
        X=dataset.X if forecaster.get_tag("capability:exogenous") else None,
        strategy="refit",
        scoring=asked,
        return_data=True,
        return_model=keep_fitted,
        error_score="raise",
    )
    for forecasts, truth in zip(folds["y_pred"], folds["y_test"], strict=True):
        if not np.isfinite(forecasts.to_numpy(dtype=float)).all():
            raise ValueError("the forecasts hold missing or infinite values")
        missing = truth.index.difference(forecasts.index)
        if len(missing):
            raise ValueError(
                f"{len(missing)} of the {len(truth)} rows to forecast have times that "
                f"the forecasts have not, such as {missing[0]}; expected the same. "
                "Rows have to be in equal steps, with a row for each; business days "
                "need two weeks of training rows, or an index with freq='B'"
            )
    return folds


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
        warn(prefix + message, category)
